"""A lock for other systems: as a W3C Thing Description with the properties that it names, its container as Smart Data
Models describe one.
"""

from typing import Annotated, Any

from fastapi import APIRouter, Path, Request, Response
from fastapi.responses import JSONResponse

from portal.api.parameters import READS, LockName, answer_tagged
from portal.errors import NotThere
from portal.route_names import API_PREFIX
from portal.services import Services, services_of
from portal.sink_door import (
    TD_MEDIA_TYPE,
    LockTwin,
    property_values,
    thing_description,
    waste_container,
)

router = APIRouter(tags=["things"], dependencies=[READS])
_DESCRIPTION: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "Thing Description 1.1, https://www.w3.org/TR/wot-thing-description11/",
        "content": {TD_MEDIA_TYPE: {"schema": {"type": "object"}}},
    }
}


class ThingDescription(JSONResponse):
    media_type = TD_MEDIA_TYPE


@router.get(
    "/locks/{lock}/thing",
    response_class=ThingDescription,
    responses=_DESCRIPTION,
    summary="A lock as a Thing Description",
)
def read_thing(request: Request, lock: LockName) -> Response:
    """What can be read of a lock, done with it and followed, with addresses and how to sign in. With an ETag."""
    services = services_of(request)
    api_url = f"{services.settings.web.public_url.rstrip('/')}{API_PREFIX}/"
    described = ThingDescription(thing_description(_twin(services, lock), api_url))
    return answer_tagged(request, bytes(described.body), TD_MEDIA_TYPE)


@router.get("/locks/{lock}/properties", summary="All properties of the Thing Description")
def read_properties(request: Request, lock: LockName) -> dict[str, Any]:
    """The values of all properties by name."""
    return property_values(_twin(services_of(request), lock))


@router.get("/locks/{lock}/properties/{name}", summary="One property of the Thing Description")
def read_property(
    request: Request,
    lock: LockName,
    name: Annotated[str, Path(pattern="^[a-z_]{1,64}$", examples=["fill_permille"])],
) -> Any:
    """The value of one property: alone, as the Thing Description says."""
    values = property_values(_twin(services_of(request), lock))
    if name not in values:
        raise NotThere(f"no property {name}")
    return values[name]


@router.get("/locks/{lock}/waste-container", summary="A lock's container as a WasteContainer")
def read_waste_container(request: Request, lock: LockName) -> dict[str, Any]:
    """As Smart Data Models describe it; 404 also while its site has no coordinates, which the model requires."""
    services = services_of(request)
    twin = _twin(services, lock)
    sites = services.sink.overview().sites
    site = next((each for each in sites if each.site == twin.summary.site), None)
    container = None if site is None else waste_container(twin, site)
    if container is None:
        raise NotThere(f"no coordinates of the site of lock {lock}")
    return container


def _twin(services: Services, lock: str) -> LockTwin:
    with services.sink.twins() as reader:
        twin = reader.lock(lock)
    if twin is None:
        raise NotThere(f"no lock {lock}")
    return twin
