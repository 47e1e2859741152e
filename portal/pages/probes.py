"""For machines that watch the portal: alive, ready, and its figures."""

from fastapi import APIRouter, Request
from starlette.responses import JSONResponse, Response

from portal.config import is_loopback
from portal.errors import NotThere, Unavailable
from portal.services import services_of

router = APIRouter()


@router.get("/healthz")
def tell_health() -> JSONResponse:
    """The process answers."""
    return JSONResponse({"status": "ok"})


@router.get("/readyz")
def tell_readiness(request: Request) -> JSONResponse:
    """200 if all databases answer, else 503; which of them, without saying more to strangers."""
    services = services_of(request)
    checks = {"accounts": services.accounts.check, "ledger": services.sink.last_position}
    if services.billing is not None:
        checks["billing"] = services.billing.check
    states = {}
    for name, check in checks.items():
        try:
            check()
            states[name] = "ok"
        except Unavailable:
            states[name] = "unavailable"
    ready = set(states.values()) == {"ok"}
    return JSONResponse({"status": "ok" if ready else "unavailable", **states}, 200 if ready else 503)


@router.get("/metrics")
def expose_metrics(request: Request) -> Response:
    """Prometheus' or OpenMetrics' text, for this machine only: a proxy in front shows it to nobody else."""
    if not is_loopback(request.client.host if request.client else ""):
        raise NotThere("metrics are for this machine")
    content_type, text = services_of(request).metrics.exposition(request.headers.get("accept", ""))
    return Response(text, media_type=content_type)
