"""Panels: every one says what it shows, what to do when it is red, and when it knows nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

import msgspec
from grafana_foundation_sdk.builders import (
    common,
    dashboard,
    prometheus,
    stat,
    statetimeline,
    table,
    timeseries,
)
from grafana_foundation_sdk.models import common as values
from grafana_foundation_sdk.models import dashboard as model
from grafana_foundation_sdk.models.prometheus import PromQueryFormat

from mixin.dashboards import states
from mixin.dashboards.variables import PROMETHEUS

if TYPE_CHECKING:
    from collections.abc import Sequence

P = TypeVar("P", stat.Panel, statetimeline.Panel, table.Panel, timeseries.Panel)

WIDTH = 24
"""Columns of Grafana's grid."""

LINES = 30
"""Objects in one graph, however many there are: more could not be told apart."""

STEPS = 300
"""Steps of a query over all servers: in a day, one in five minutes."""

BANDS = 20
"""Lines of a state timeline on one of its pages."""

NO_DATA = "Nothing known: no exporter lists the account"


class Text(msgspec.Struct, frozen=True):
    """The words of a panel.

    Attributes:
        title: what it shows.
        description: what the colors mean, and what to do when it is red.
        empty: what stands there when a query gives nothing.
    """

    title: str
    description: str
    empty: str = NO_DATA


class Look(msgspec.Struct, frozen=True):
    """How values appear: a unit or mappings, thresholds, and the place on the grid."""

    unit: str = ""
    mappings: tuple[model.ValueMapping, ...] = ()
    steps: tuple[model.Threshold, ...] = ()
    decimals: int | None = None
    width: int = WIDTH
    height: int = 8


def steps(*above: tuple[float, str], base: str = states.GOOD) -> tuple[model.Threshold, ...]:
    """`base` up to the first value, then the color of the last value that is reached."""
    rest = tuple(model.Threshold(value=float(value), color=color) for value, color in above)
    return (model.Threshold(value=None, color=base), *rest)


PLAIN = steps(base=states.NEUTRAL)


def query(
    expr: str, legend: str = "", *, ref: str = "A", instant: bool = False, as_table: bool = False
) -> prometheus.Dataquery:
    """A query over the range, or of its end alone; a table has a column a label."""
    built = prometheus.Dataquery().datasource(PROMETHEUS).expr(expr).ref_id(ref)
    built = built.legend_format(legend or "__auto")
    built = built.instant() if instant or as_table else built.range()
    return built.format(PromQueryFormat.TABLE if as_table else PromQueryFormat.TIME_SERIES)


def dressed(panel: P, text: Text, look: Look, queries: Sequence[prometheus.Dataquery]) -> P:
    """The panel with all that every panel has."""
    panel.title(text.title).description(text.description).no_value(text.empty)
    panel.datasource(PROMETHEUS).span(look.width).height(look.height)
    panel.thresholds(
        dashboard.ThresholdsConfig()
        .mode(model.ThresholdsMode.ABSOLUTE)
        .steps(list(look.steps or PLAIN))
    )
    if look.unit:
        panel.unit(look.unit)
    if look.mappings:
        panel.mappings(list(look.mappings))
    if look.decimals is not None:
        panel.decimals(look.decimals)
    panel.targets(list(queries))
    return panel


def number(
    text: Text, look: Look, expr: str, *, legend: str = "", trend: bool = False
) -> stat.Panel:
    """A big number, colored by its thresholds or mappings."""
    graph = values.BigValueGraphMode.AREA if trend else values.BigValueGraphMode.NONE
    panel = dressed(stat.Panel(), text, look, [query(expr, legend, instant=not trend)])
    return (
        panel.color_scheme(dashboard.FieldColor().mode(model.FieldColorModeId.THRESHOLDS))
        .graph_mode(graph)
        .color_mode(values.BigValueColorMode.BACKGROUND)
        .justify_mode(values.BigValueJustifyMode.AUTO)
        .text_mode(values.BigValueTextMode.AUTO)
        .orientation(values.VizOrientation.AUTO)
        .reduce_options(common.ReduceDataOptions().calcs(["lastNotNull"]).values(False).fields(""))
    )


def history(text: Text, look: Look, queries: Sequence[prometheus.Dataquery]) -> statetimeline.Panel:
    """A band of states over time for each series."""
    return (
        dressed(statetimeline.Panel(), text, look, queries)
        .color_scheme(dashboard.FieldColor().mode(model.FieldColorModeId.THRESHOLDS))
        .merge_values(True)
        .show_value(values.VisibilityMode.AUTO)
        .align_value(values.TimelineValueAlignment.LEFT)
        .row_height(0.9)
        .per_page(BANDS)
        .fill_opacity(80)
        .line_width(0)
        .legend(_legend(values.LegendDisplayMode.LIST))
        .tooltip(_tooltip())
    )


def graph(
    text: Text,
    look: Look,
    queries: Sequence[prometheus.Dataquery],
    *,
    stacked: bool = False,
    line_at_threshold: bool = False,
) -> timeseries.Panel:
    """Lines over time, or stacked bars of events; the thresholds may be drawn as lines."""
    drawn = (
        values.GraphThresholdsStyleMode.LINE
        if line_at_threshold
        else values.GraphThresholdsStyleMode.OFF
    )
    panel = dressed(timeseries.Panel(), text, look, queries)
    panel.color_scheme(dashboard.FieldColor().mode(model.FieldColorModeId.PALETTE_CLASSIC_BY_NAME))
    panel.min(0).line_width(1).fill_opacity(10).show_points(values.VisibilityMode.AUTO)
    panel.thresholds_style(common.GraphThresholdsStyleConfig().mode(drawn))
    panel.legend(_legend(values.LegendDisplayMode.TABLE)).tooltip(_tooltip())
    if stacked:
        panel.draw_style(values.GraphDrawStyle.BARS).fill_opacity(80)
        panel.stacking(common.StackingConfig().mode(values.StackingMode.NORMAL).group("A"))
    return panel


def grid(text: Text, look: Look, queries: Sequence[prometheus.Dataquery]) -> table.Panel:
    """A table; `columns` shapes it and gives a column the unit that it has beyond plain numbers."""
    return (
        dressed(table.Panel(), text, msgspec.structs.replace(look, unit="short"), queries)
        .show_header(True)
        .cell_height(values.TableCellHeight.SM)
        .align(values.FieldTextAlignment.AUTO)
        .cell_options(values.TableAutoCellOptions())
        .inspect(False)
        .filterable(True)
    )


def _legend(mode: values.LegendDisplayMode) -> common.VizLegendOptions:
    as_table = mode is values.LegendDisplayMode.TABLE
    return (
        common.VizLegendOptions()
        .display_mode(mode)
        .placement(values.LegendPlacement.BOTTOM)
        .show_legend(as_table)
        .calcs(["lastNotNull", "max"] if as_table else [])
    )


def _tooltip() -> common.VizTooltipOptions:
    return (
        common.VizTooltipOptions()
        .mode(values.TooltipDisplayMode.MULTI)
        .sort(values.SortOrder.DESCENDING)
    )
