"""Which format and coding a client gets, by the headers that real clients send and by odd ones."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.metrics.formats import Format, accepts_gzip, choose_format

TEXT, OPENMETRICS = Format.TEXT, Format.OPENMETRICS

PROMETHEUS_2 = (
    "application/openmetrics-text;version=1.0.0;q=0.5,"
    "application/openmetrics-text;version=0.0.1;q=0.4,text/plain;version=0.0.4;q=0.3,*/*;q=0.2"
)
PROMETHEUS_2_EARLY = (
    "application/openmetrics-text; version=0.0.1,text/plain;version=0.0.4;q=0.5,*/*;q=0.1"
)
PROMETHEUS_2_PROTOBUF = (
    "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited"
    ";q=0.6," + PROMETHEUS_2
)
PROMETHEUS_3 = (
    "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.6,"
    "application/openmetrics-text;version=0.0.1;q=0.5,"
    "text/plain;version=1.0.0;escaping=allow-utf-8;q=0.4,text/plain;version=0.0.4;q=0.3,*/*;q=0.2"
)
PROMETHEUS_3_TEXT_ONLY = (
    "text/plain;version=1.0.0;escaping=allow-utf-8;q=0.6,text/plain;version=0.0.4;q=0.5,*/*;q=0.2"
)
BROWSER = "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,*/*;q=0.8"


@pytest.mark.parametrize(
    ("accept", "expected"),
    [
        pytest.param("", TEXT, id="nothing"),
        pytest.param("*/*", TEXT, id="curl"),
        pytest.param(BROWSER, TEXT, id="browser"),
        pytest.param(PROMETHEUS_2, OPENMETRICS, id="prometheus-2"),
        pytest.param(PROMETHEUS_2_EARLY, TEXT, id="prometheus-2-with-openmetrics-0.0.1-only"),
        pytest.param(PROMETHEUS_2_PROTOBUF, OPENMETRICS, id="prometheus-2-protobuf-first"),
        pytest.param(PROMETHEUS_3, OPENMETRICS, id="prometheus-3"),
        pytest.param(PROMETHEUS_3_TEXT_ONLY, TEXT, id="prometheus-3-text-only"),
        pytest.param("application/openmetrics-text", OPENMETRICS, id="no-version"),
        pytest.param("application/openmetrics-text; version=2.0.0", TEXT, id="only-openmetrics-2"),
        pytest.param(
            "application/openmetrics-text;version=2.0.0,"
            "application/openmetrics-text;version=1.0.0;q=0.5,text/plain;q=0.4",
            OPENMETRICS,
            id="openmetrics-2-before-1",
        ),
        pytest.param("text/plain;version=1.0.0", TEXT, id="only-text-1.0.0"),
        pytest.param("Application/OpenMetrics-Text; Version=1.0.0", OPENMETRICS, id="upper-case"),
        pytest.param('application/openmetrics-text;version="1.0.0"', OPENMETRICS, id="quoted"),
        pytest.param("application/openmetrics-text ; q=0.5 , text/plain ; q=0.4", OPENMETRICS,
                     id="spaces"),
        pytest.param("application/openmetrics-text;q=0.4,text/plain;q=0.5", TEXT, id="text-higher"),
        pytest.param("application/openmetrics-text;q=0", TEXT, id="openmetrics-refused"),
        pytest.param("application/openmetrics-text;q=0,*/*", TEXT, id="refused-beats-wildcard"),
        pytest.param("text/plain;q=0,*/*", OPENMETRICS, id="text-refused-anything-else-fine"),
        pytest.param("text/*;q=0,*/*;q=0.1", OPENMETRICS, id="text-kinds-refused"),
        pytest.param("*/*;q=0,application/openmetrics-text;q=0.001", OPENMETRICS, id="only-one"),
        pytest.param("*/*;q=0", TEXT, id="everything-refused"),
        pytest.param("application/*", OPENMETRICS, id="type-wildcard"),
        pytest.param("application/*,text/*", TEXT, id="alike-means-text"),
        pytest.param("text/plain,application/openmetrics-text", TEXT, id="same-weight-means-text"),
        pytest.param("application/openmetrics-text,*/*", OPENMETRICS, id="named-beats-wildcard"),
        pytest.param("text/plain;q=0.1,text/*,application/openmetrics-text;q=0.5", OPENMETRICS,
                     id="subtype-decides-before-type"),
        pytest.param("application/openmetrics-text;version=1.0.0;q=0.2,"
                     "application/openmetrics-text,text/plain;q=0.5", TEXT,
                     id="version-decides-before-subtype"),
        pytest.param("application/openmetrics-text;version=0.0.1=1.0.0", TEXT, id="two-equals"),
        pytest.param("application/openmetrics-text;version=1.0.0X", TEXT, id="more-than-a-version"),
        pytest.param("application/json", TEXT, id="not-offered"),
        pytest.param('a/b;x="text/plain,";q=1,application/openmetrics-text;q=0.5', OPENMETRICS,
                     id="comma-in-quotes"),
        pytest.param("application/openmetrics-text;q=high,text/plain;q=0.1", TEXT, id="bad-weight"),
        pytest.param("application/openmetrics-text;q=7,text/plain;q=0.1", TEXT, id="weight-over-1"),
        pytest.param(",,;;,=;q=,", TEXT, id="rubbish"),
    ],
)  # fmt: skip
def test_the_client_gets_the_format_it_likes_best(accept: str, expected: Format) -> None:
    assert choose_format(accept) is expected


@pytest.mark.parametrize(
    ("accept_encoding", "expected"),
    [
        ("", False),
        ("gzip", True),
        ("GZIP", True),
        ("x-gzip", True),
        ("gzip, deflate, br, zstd", True),
        ("deflate, gzip;q=0.5", True),
        ("gzip;q=0", False),
        ("gzip;q=0.000, *", False),
        ("*", True),
        ("*;q=0", False),
        ("*;q=0, gzip", True),
        ("identity", False),
        ("identity;q=0, gzip;q=0.1", True),
        ("identity;q=0.5, gzip;q=0.8", True),
        ("identity, gzip;q=0.5", False),
        ("identity;q=0.5, *;q=0.1", False),
        ("br", False),
        ("gzip;q=much", False),
        ("gzipped", False),
    ],
)
def test_an_answer_is_compressed_only_where_the_client_says_so(
    accept_encoding: str, expected: bool
) -> None:
    assert accepts_gzip(accept_encoding) is expected


@given(
    st.text(max_size=60)
    | st.lists(st.sampled_from([*'*/;,="\\q01. ', "text/plain", "gzip", "version"])).map("".join)
)
def test_no_header_whatsoever_raises(header: str) -> None:
    assert choose_format(header) in Format
    assert accepts_gzip(header) in {True, False}


@pytest.mark.parametrize("piece", ['"', '\\"', ",", ";", "a/b;", '"\\'])
@pytest.mark.timeout(5)
def test_a_header_made_to_cost_time_does_not(piece: str) -> None:
    assert choose_format(piece * 20_000) is TEXT
