"""Writes docs/contract from the message models: `make contract`. A test holds the kept files against this."""

import json
from pathlib import Path

import yaml

from wastelock.contract import build_documents

DIRECTORY = Path(__file__).parents[1] / "docs" / "contract"
_NOTICE = "# Made from the message models by `make contract`: change those, not this file.\n"


def render_contract() -> dict[str, str]:
    """Return the text of each file of docs/contract, by its path in there."""
    documents = build_documents()
    asyncapi = yaml.safe_dump(documents.pop("asyncapi"), sort_keys=False, allow_unicode=True, width=110)
    schemas = {
        f"{name}.json": json.dumps(schema, indent=2, ensure_ascii=False) + "\n"
        for name, schema in documents.items()
    }
    return {"asyncapi.yaml": _NOTICE + asyncapi, **schemas}


def main() -> None:
    """Write what has changed and take away schemas that there are no more."""
    rendered = render_contract()
    (DIRECTORY / "schemas").mkdir(parents=True, exist_ok=True)
    for stale in set(DIRECTORY.glob("schemas/*.json")) - {DIRECTORY / name for name in rendered}:
        stale.unlink()
    for name, text in rendered.items():
        (DIRECTORY / name).write_text(text)


if __name__ == "__main__":
    main()
