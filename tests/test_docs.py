"""The reference pages say what the code does: every field, every metric, every setting."""

from __future__ import annotations

import re
import subprocess
import sys
import typing
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pydantic
import pytest
from cloudflare.types.zero_trust.access.ai_controls.mcp.portal_list_response import (
    PortalListResponse,
)
from cloudflare.types.zero_trust.access.ai_controls.mcp.server_list_response import (
    ServerListResponse,
)

from exporter.cloudflare import schema
from exporter.errors import Reason
from exporter.metrics.catalog import ALL
from exporter.metrics.probe_catalog import PROBES
from exporter.probes.result import Outcome
from exporter.settings import ENVIRONMENT, FLAGS
from processes import ROOT

REFERENCE = ROOT / "docs" / "reference"
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])


class Row(typing.NamedTuple):
    """What the page of fields says about one field."""

    metrics: frozenset[str]
    remark: str


def rows() -> Iterator[tuple[str, Row]]:
    for line in (REFERENCE / "fields.md").read_text().splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if line.startswith("| `"):
            field, metrics, remark = cells
            yield field.strip("`"), Row(frozenset(re.findall(r"`(\w+)`", metrics)), remark)


TABLE = dict(rows())


def is_record(kind: object) -> bool:
    return isinstance(kind, type) and issubclass(kind, msgspec.Struct | pydantic.BaseModel)


def members(annotation: object) -> Iterator[tuple[str, typing.Any]]:
    """The record types inside an annotation, each with ``[]`` if it stands in a list."""
    if isinstance(annotation, type) and issubclass(annotation, schema.Limited):
        member = next(iter(typing.get_type_hints(annotation).values()))  # all are of one type
        yield from (("[]" + suffix, record) for suffix, record in members(member))
        return
    if is_record(annotation):
        yield "", annotation
    for inner in typing.get_args(annotation):
        many = "[]" if typing.get_origin(annotation) is list else ""
        for suffix, record in members(inner):
            yield many + suffix, record


def declared(record: typing.Any) -> dict[str, typing.Any]:
    if issubclass(record, pydantic.BaseModel):
        return {name: field.annotation for name, field in record.model_fields.items()}
    return typing.get_type_hints(record)


def fields_of(record: typing.Any, path: str) -> Iterator[str]:
    """Paths of all fields of a record type, in the page's notation."""
    for name, annotation in declared(record).items():
        field = f"{path}.{name}".lstrip(".")
        yield field
        for suffix, inner in members(annotation):
            below = {"portal.servers[]": "server", "result[]": None}.get(
                field + suffix, field + suffix
            )
            if below is not None:
                yield from fields_of(inner, below)


DECODED = {
    *fields_of(schema.PortalRecord, "portal"),
    *fields_of(schema.ServerRecord, "server"),
    *fields_of(schema.PortalPage, ""),
    *fields_of(schema.ServerPage, ""),
    *fields_of(schema.Envelope, ""),
    # Read by themselves, where there is something to read in them.
    *fields_of(schema.ResultInfo, "result_info"),
    *fields_of(schema.ApiMessage, "errors[]"),
    *fields_of(schema.ErrorDetails, "server.error_details"),
}

PUBLISHED = {*fields_of(PortalListResponse, "portal"), *fields_of(ServerListResponse, "server")}

SHOWN = {field: {metric.name for metric in ALL if field in metric.fields} for field in TABLE}


def parent(field: str) -> str:
    return field.rpartition(".")[0].removesuffix("[]")


def test_no_field_stands_twice_in_the_table() -> None:
    assert len(list(rows())) == len(TABLE) > 0


def test_the_table_has_every_field_that_the_official_client_knows() -> None:
    assert sorted(PUBLISHED - TABLE.keys()) == []
    assert len(PUBLISHED) > 50  # so that an empty walk cannot pass


def test_the_table_has_every_field_that_the_decoder_reads() -> None:
    assert sorted(DECODED - TABLE.keys()) == []


def test_the_table_has_every_field_that_the_catalog_names() -> None:
    named = {field for metric in ALL for field in metric.fields}
    assert sorted(named - TABLE.keys()) == []


@pytest.mark.parametrize("field", TABLE)
def test_a_field_is_carried_by_the_metrics_that_its_row_names(field: str) -> None:
    said = TABLE[field].metrics
    assert said <= {metric.name for metric in ALL}
    if SHOWN[field]:
        assert said == SHOWN[field]
    elif field.startswith(("portal.", "server.")):
        assert said <= SHOWN.get(parent(field), set())


@pytest.mark.parametrize("field", [field for field, row in TABLE.items() if row.metrics])
def test_a_field_with_metrics_is_decoded(field: str) -> None:
    # error_details is decoded as it comes, so its members are read without being declared.
    assert field in DECODED or parent(field) == "server.error_details"


@pytest.mark.parametrize("field", [field for field, row in TABLE.items() if not row.metrics])
def test_a_field_without_metrics_has_its_reason_and_no_declaration(field: str) -> None:
    assert TABLE[field].remark
    if field.startswith(("portal.", "server.")):
        holds_others = any(parent(other) == field for other in DECODED)
        assert field not in DECODED or holds_others


def test_the_generated_tables_are_fresh() -> None:
    ended = subprocess.run(
        [sys.executable, ROOT / "scripts" / "reference.py", "--check"],
        capture_output=True,
        text=True,
        check=False,
        timeout=30,
    )
    assert (ended.returncode, ended.stderr) == (0, "")


def first_cells(page: Path) -> list[str]:
    return re.findall(r"^\| `([^`]+)` \|", page.read_text(), re.MULTILINE)


def test_every_metric_reason_and_outcome_stands_once_in_the_page_of_metrics() -> None:
    expected = [metric.name for metric in (*ALL, *PROBES)]
    expected += [word.value for word in (*Reason, *Outcome)]
    heads = {"reason", "outcome"}
    found = [name for name in first_cells(REFERENCE / "metrics.md") if name not in heads]
    assert sorted(found) == sorted(expected)


def test_every_flag_and_every_variable_stands_once_in_the_page_of_settings() -> None:
    expected = [flag.name for flag in FLAGS] + [variable.name for variable in ENVIRONMENT]
    assert first_cells(REFERENCE / "settings.md") == expected


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_no_page_names_a_metric_a_flag_or_a_variable_that_does_not_exist(page: Path) -> None:
    text = page.read_text()
    names = re.findall(r"(?<![:\w])cloudflare_mcp_[a-z_]*[a-z]\b(?![:*_])", text)
    metrics = {re.sub(r"_(bucket|sum|count)$", "", name) for name in names}
    flags = set(
        re.findall(r"(?<![\w-])--(?:web|log|scrape|api|collector|probe)\.[a-z.-]*[a-z]", text)
    )
    variables = set(re.findall(r"\bCLOUDFLARE_[A-Z_]*[A-Z]\b", text))
    assert metrics <= {metric.name for metric in (*ALL, *PROBES)}
    assert flags <= {flag.name for flag in FLAGS}
    assert variables <= {flag.environment for flag in FLAGS} | {each.name for each in ENVIRONMENT}
