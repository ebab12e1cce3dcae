"""The variables of the dashboards: one data source, then ever narrower filters."""

from __future__ import annotations

from typing import TYPE_CHECKING

from grafana_foundation_sdk.builders.dashboard import DatasourceVariable, QueryVariable
from grafana_foundation_sdk.models.dashboard import DataSourceRef, VariableRefresh, VariableSort

from exporter.metrics import catalog as c
from mixin.dashboards.promql import SERVER, select

if TYPE_CHECKING:
    from grafana_foundation_sdk.cog.builder import Builder
    from grafana_foundation_sdk.models.dashboard import VariableModel

PROMETHEUS = DataSourceRef(type_val="prometheus", uid="${datasource}")


def _query(name: str, query: str, description: str) -> QueryVariable:
    return (
        QueryVariable(name)
        .label(name.title())
        .description(description)
        .datasource(PROMETHEUS)
        .query({"query": query, "refId": f"variable-{name}"})
        .refresh(VariableRefresh.ON_TIME_RANGE_CHANGED)
        .sort(VariableSort.ALPHABETICAL_CASE_INSENSITIVE_ASC)
        .multi(True)
    )


def _all(variable: QueryVariable, value: str = ".+") -> QueryVariable:
    return variable.include_all(True).all_value(value)


def _named(kind: str, metric: c.Metric, description: str, where: str = "") -> QueryVariable:
    """A variable whose value is the id, shown as the name; it outlives the object in the range."""
    seen = f"last_over_time({select(metric)}[$__range]){where}"
    query = f"query_result(max by ({kind}_id, {kind}_name) ({seen}))"
    regex = f'/{kind}_name="(?<text>[^"]+)|{kind}_id="(?<value>[^"]+)/g'
    return _query(kind, query, description).regex(regex)


def target() -> list[Builder[VariableModel]]:
    """Data source, job and instance."""
    build = c.BUILD_INFO.name
    return [
        DatasourceVariable("datasource")
        .label("Data source")
        .description("The Prometheus that scrapes the exporter.")
        .type("prometheus"),
        _all(_query("job", f"label_values({build}, job)", "The scrape job of the exporter.")),
        _all(
            _query(
                "instance",
                f'label_values({build}{{job=~"$job"}}, instance)',
                "The exporters; several may list the same account.",
            )
        ),
    ]


def account() -> QueryVariable:
    """Accounts, by name."""
    return _all(_named("account", _without(c.ACCOUNT_INFO, "account_id"), "Accounts, by name."))


def portal() -> QueryVariable:
    """Portals of the chosen accounts; all of them means servers in no portal too."""
    return _all(
        _named("portal", _without(c.PORTAL_INFO, "portal_id"), "Portals of the accounts."), ".*"
    )


def servers() -> QueryVariable:
    """Servers of the chosen portals, all at once."""
    return _all(server())


def server() -> QueryVariable:
    """Servers of the chosen portals; the first one unless others are chosen."""
    info = _without(c.SERVER_INFO, "server_id")
    attached = select(_without(c.PORTAL_SERVER_INFO, "server_id"))
    anywhere = select(info, 'portal_id=~"$portal"')
    where = (
        f" and on ({SERVER}) (last_over_time({attached}[$__range])"
        f" or last_over_time({anywhere}[$__range]))"
    )
    return _named("server", info, "Servers of the accounts and portals.", where)


def _without(metric: c.Metric, label: str) -> c.Metric:
    """The metric as if it lacked a label, so that a variable does not filter its own choices."""
    labels = tuple(name for name in metric.labels if name != label)
    return c.Metric(metric.name, metric.kind, metric.help, labels)
