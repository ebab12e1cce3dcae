"""The configuration in use, as YAML in the form of the file and without its secrets."""

from __future__ import annotations

from exporter.settings.urls import hidden_user
from exporter.settings.values import Account, Probes, Secret, Settings

HIDDEN_VALUE = "<hidden>"


def effective(settings: Settings) -> str:
    """Each account with everything that holds for it, wherever that was said.

    Every secret is shown as ``<hidden>``: tokens, keys, the e-mail address that goes with a key,
    and the user of a proxy.
    """
    import yaml  # noqa: PLC0415 - a megabyte that only its users pay

    accounts = [_account(account) for account in settings.accounts]
    return yaml.safe_dump({"accounts": accounts}, sort_keys=False, allow_unicode=True, width=1000)


def _account(account: Account) -> dict[str, object]:
    proxy = {"proxy_url": hidden_user(account.proxy_url, HIDDEN_VALUE)} if account.proxy_url else {}
    authorities = {"ca_file": account.ca_file} if account.ca_file else {}
    return {
        "name": account.name,
        "account_id": account.account_id,
        **_credentials(account),
        "base_url": account.base_url,
        "timeout": account.timeout,
        "per_page": account.per_page,
        "parallel_pages": account.parallel_pages,
        "max_response_size": account.max_response_bytes,
        "collectors": {"servers": account.collect_servers},
        "cache_ttl": account.cache_ttl,
        **proxy,
        **authorities,
        **_probes(account.probes),
    }


def _probes(probes: Probes) -> dict[str, object]:
    """Only where probes are enabled: without them nothing of it matters."""
    if not probes.servers and not probes.portals:
        return {}
    token = (
        {
            "access_client_id": HIDDEN_VALUE,
            **_secret("access_client_secret", probes.access_client_secret),
        }
        if probes.access_client_secret is not None
        else {}
    )
    return {
        "probes": {
            "servers": probes.servers,
            "portals": probes.portals,
            "min_interval": probes.min_interval,
            "allow_networks": list(probes.allow_networks),
            "allow_http": probes.allow_http,
            "gateway_servers": probes.gateway_servers,
            "allow": list(probes.allow),
            "deny": list(probes.deny),
            **token,
        }
    }


def _credentials(account: Account) -> dict[str, str]:
    credentials = account.credentials
    if credentials.token is not None:
        return _secret("api_token", credentials.token)
    key = _secret("api_key", credentials.key or Secret())
    return {"email": HIDDEN_VALUE, **key}


def _secret(name: str, secret: Secret) -> dict[str, str]:
    return {f"{name}_file": secret.file} if secret.file else {name: HIDDEN_VALUE}
