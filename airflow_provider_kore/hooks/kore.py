"""Turn an Airflow connection of type ``kore`` into a client of Kore.ai."""

from __future__ import annotations

import asyncio
import sys
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from functools import cached_property
from importlib import import_module
from typing import TYPE_CHECKING

from airflow.providers.common.compat.connection import get_async_connection
from airflow.sdk import BaseHook
from airflow.sdk.log import mask_secret
from asgiref.sync import sync_to_async

from airflow_provider_kore.api.account import KoreAccount
from airflow_provider_kore.api.calls import fetch_status, submit_erasure
from airflow_provider_kore.api.client import KoreClient
from airflow_provider_kore.api.erase_request import ErasureRequest
from airflow_provider_kore.api.route import client_faults
from airflow_provider_kore.api.scope import check_scope
from airflow_provider_kore.api.status import ErasureStatus
from airflow_provider_kore.api.users import check_user_ids
from airflow_provider_kore.exceptions import (
    KoreAuthenticationError,
    KoreConfigurationError,
    KoreError,
    KorePermissionError,
    KoreThrottledError,
    KoreUnknownRequestError,
)
from airflow_provider_kore.hooks.connection import account_of, connection_faults, refusal, secrets_of, with_budget

if TYPE_CHECKING:
    from airflow_provider_kore.api.async_client import AsyncKoreClient

_readings: dict[tuple[int, str], asyncio.Task[KoreAccount]] = {}
"""Connections that are being read, by event loop and id."""


class KoreHook(BaseHook):
    """
    Call Kore.ai's erasure API with the credentials, pace and guards of an Airflow connection.

    Nothing is read and nothing is sent until a method needs it.

    :param kore_conn_id: id of a connection of type ``kore``.
    """

    conn_name_attr = "kore_conn_id"
    default_conn_name = "kore_default"
    conn_type = "kore"
    hook_name = "Kore.ai"

    def __init__(self, kore_conn_id: str = default_conn_name) -> None:
        super().__init__()
        self.kore_conn_id = kore_conn_id

    @cached_property
    def account(self) -> KoreAccount:
        """
        Read the connection.

        :raises KoreConnectionUnreadableError: if there is none of this id, or it cannot be read.
        :raises KoreConfigurationError: if a field of it cannot be used.
        """
        with connection_faults(self.kore_conn_id, "kore"):
            account = account_of(self.get_connection(self._require_conn_id()))
            mask_secret(secrets_of(account))
        if account.budget_conn_id:
            with connection_faults(account.budget_conn_id, "redis"):
                account = with_budget(account, self.get_connection(account.budget_conn_id))
                mask_secret(secrets_of(account))
        return account

    def find_base_url(self) -> str | None:
        """Read where Kore.ai is; ``None`` if the connection cannot be used."""
        with suppress(KoreError):
            return self.account.base_url
        return None

    async def aget_account(self) -> KoreAccount:
        """
        Read the connection on an event loop; the twin of :attr:`account`.

        Concurrent calls share one reading: a triggerer that starts makes a thousand at once.
        """
        if "account" not in self.__dict__:
            loop = asyncio.get_running_loop()
            key = (id(loop), self.kore_conn_id)
            reading = _readings.get(key)
            if reading is None:
                reading = _readings[key] = loop.create_task(self._read_account())
                reading.add_done_callback(lambda _: _readings.pop(key))
            self.__dict__["account"] = await asyncio.shield(reading)
        return self.account

    async def _read_account(self) -> KoreAccount:
        with connection_faults(self.kore_conn_id, "kore"):
            account = account_of(await get_async_connection(self._require_conn_id(), self))
            # In a thread that knows this loop, since it asks the supervisor and would block the loop.
            await sync_to_async(mask_secret)(secrets_of(account))
        if account.budget_conn_id:
            with connection_faults(account.budget_conn_id, "redis"):
                account = with_budget(account, await get_async_connection(account.budget_conn_id, self))
                await sync_to_async(mask_secret)(secrets_of(account))
        return account

    def _require_conn_id(self) -> str:
        conn_id: object = self.kore_conn_id  # of any type, where a template has rendered it
        if isinstance(conn_id, str) and conn_id.strip():
            return conn_id
        raise refusal(
            f"kore_conn_id is {'empty' if isinstance(conn_id, str) else f'of type {type(conn_id).__name__}'}.",
            "Set kore_conn_id to the id of an Airflow connection of type kore.",
        )

    def get_conn(self) -> KoreClient:
        """
        Make a client of Kore.ai for this connection; close it after use, or use it as a context manager.

        :raises KoreConfigurationError: if the connection cannot be used.
        """
        return KoreClient(self.account)

    @asynccontextmanager
    async def aget_conn(self) -> AsyncIterator[AsyncKoreClient]:
        """Provide the client that all callers with this account on the running event loop share."""
        # Workers do not need aiohttp. Its import makes a TLS context and would block the loop.
        with client_faults():
            if "airflow_provider_kore.api.async_client" not in sys.modules:
                await asyncio.to_thread(import_module, "airflow_provider_kore.api.async_client")
        from airflow_provider_kore.api.async_client import shared_async_client

        async with shared_async_client(await self.aget_account()) as client:
            yield client

    def erase_user_data(
        self,
        user_ids: object,
        bot_ids: object = None,
        all_bots: object = False,
    ) -> str:
        """
        Submit one erasure, within the guards of the connection, and return its request id.

        Kore.ai then erases; :meth:`get_erasure_status` reads how far it is. Each call submits anew: only the operator
        survives a retry.

        :param user_ids: a list of user ids: e-mail addresses, ``u-…`` ids, channel user ids, or a
            :class:`ChannelUserId` each.
        :param bot_ids: a list of the bots to erase from.
        :param all_bots: ``True`` for all bots of the organisation; needs ``allow_all_bots`` on the connection.
        :raises KoreInputError: if the users or the scope are refused; nothing was sent.
        :raises KoreAmbiguousSubmitError: if Kore.ai may have accepted the erasure.
        :raises KoreError: if it was not accepted.
        """
        account = self.account
        scope = check_scope(
            bot_ids,
            all_bots,
            allow_all_bots=account.allow_all_bots,
            allowed_bot_ids=account.allowed_bot_ids,
        )
        users = check_user_ids(user_ids, account.max_users)
        with self.get_conn() as client:
            return client.run(submit_erasure(ErasureRequest(users, scope), client.pacing))

    def get_erasure_status(self, request_id: str) -> ErasureStatus:
        """
        Read the status of an erasure request.

        :param request_id: what :meth:`erase_user_data` returned.
        :raises KoreUnknownRequestError: if Kore.ai does not know it.
        :raises KoreError: on any other failure.
        """
        with self.get_conn() as client:
            return client.run(fetch_status(request_id, client.pacing))

    async def aget_erasure_status(self, request_id: str) -> ErasureStatus:
        """Read the status of an erasure request; the twin of :meth:`get_erasure_status`."""
        async with self.aget_conn() as client:
            return await client.run(fetch_status(request_id, client.pacing))

    def test_connection(self) -> tuple[bool, str]:
        """
        Check key and scope by a status call for a made-up request id, which erases nothing.

        It raises nothing, since Airflow shows only what is returned. A guess: Kore.ai answers an unknown id with 400 or
        404, a bad key with 401, a missing scope with 403.
        """
        request_id = f"eud-connection-test-{uuid.uuid4().hex[:12]}"
        try:
            with self.get_conn() as client:
                client.pacing.budget.check()
                client.run(fetch_status(request_id, client.pacing, client.pacing.clock() + 5))
        except KoreUnknownRequestError:
            pass
        except KoreThrottledError:
            return False, (
                "The account's rate limit is reached, or its budget in Redis is new, so the key is not checked. Test "
                "again in two minutes, or in an hour."
            )
        except (KoreConfigurationError, KoreAuthenticationError, KorePermissionError) as error:
            return False, f"{error.problem} {error.remedy}"
        except KoreError as error:
            return False, f"The key is not checked. {error.problem} {error.remedy}"
        except Exception as error:  # noqa: BLE001 # its text can contain a secret
            return False, f"The key is not checked: {type(error).__name__}. See the log of the API server."
        return True, "Kore.ai accepts the key and the scope."
