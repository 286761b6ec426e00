"""The part of Airflow's public API that the page "Erasures" uses, with made-up erasures, in a thread."""

import asyncio
import socket
import threading
import time
import uuid
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable
from datetime import UTC, datetime, timedelta
from typing import Any, Self

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, Response
from starlette.routing import Mount, Route

from airflow_provider_kore.erasures_page import PAGE_ROUTE
from airflow_provider_kore.erasures_page.server import page_files

MOST_AT_ONCE = 100
"""Airflow gives no more entries in one answer, whatever is asked for."""

TASKS = "/api/v2/dags/{dag_id}/dagRuns/{run_id}/taskInstances"
FRAME = f"""<!doctype html><html lang="en"><title>Airflow</title><iframe src="/{PAGE_ROUTE}/" title="Erasures"
sandbox="allow-scripts allow-same-origin allow-forms" width="1200" height="900"></iframe></html>"""

Erasure = dict[str, Any]


def make_erasure(
    report: object,
    *,
    state: str | None = "success",
    dag_id: str = "kore_erase_daily",
    run_id: str = "manual__1",
    task_id: str = "erase_users",
    is_reported: bool = True,
    note: str | None = None,
    **more: object,
) -> Erasure:
    """
    Make up what the API knows of one task instance.

    :param report: the value of its XCom.
    :param state: of the task instance.
    :param is_reported: whether the XCom is there; Airflow deletes it when a task begins anew.
    :param note: of the task instance.
    :param more: other fields of the XCom's entry.
    """
    entry = {
        "key": "kore_erasure",
        "timestamp": datetime.now(UTC).isoformat(),
        "logical_date": None,
        "map_index": -1,
        "task_id": task_id,
        "dag_id": dag_id,
        "run_id": run_id,
        "dag_display_name": dag_id,
        "task_display_name": task_id,
        "run_after": datetime.now(UTC).isoformat(),
    }
    instance = {"id": str(uuid.uuid4()), "state": state, "note": note}
    return {"entry": entry | more, "value": report, "instance": instance, "is_reported": is_reported}


def make_report(**changes: object) -> dict[str, object]:
    """Make up the report of an erasure that has ended well, but for the changes."""
    now = datetime.now(UTC)
    return {
        "version": 1,
        "stage": "ended",
        "host": "https://platform.kore.ai",
        "bot_ids": ["st-1"],
        "all_bots": False,
        "user_count": 100,
        "batch_count": 1,
        "erased": 100,
        "open": 0,
        "not_erased": 0,
        "started": (now - timedelta(hours=1)).isoformat(),
        "updated": now.isoformat(),
        "deadline": None,
        "receipt": None,
        "dry_run": False,
        "verification": None,
    } | changes


def make_many(number: int) -> list[Erasure]:
    """Make up erasures of the last half year, a few of which have failed or are open."""
    now = datetime.now(UTC)
    many = []
    for index in range(number):
        moment = now - timedelta(minutes=50 * index)
        people = 1 + index * 37 % 400
        report = make_report(
            user_count=people,
            erased=people,
            started=(moment - timedelta(minutes=30)).isoformat(),
            updated=moment.isoformat(),
            deadline={
                "regime": "gdpr",
                "received_on": str((moment - timedelta(days=9)).date()),
                "due_on": str((moment + timedelta(days=index % 25)).date()),
                "ends_at": (moment + timedelta(days=index % 25)).strftime("%Y-%m-%dT23:59:59Z"),
            },
            receipt=f"s3://receipts/{moment:%Y/%m}/erasure-{index:05}.json",
        )
        state = "success"
        if index % 40 == 7:
            report |= {"erased": people - 1, "not_erased": 1}
            state = "failed"
        elif index < 12:
            report |= {"stage": "waiting", "erased": people // 3, "open": people - people // 3, "receipt": None}
            state = "deferred"
        many.append(
            make_erasure(
                report,
                state=state,
                dag_id=f"erase_{index % 7}",
                run_id=f"scheduled__{moment.isoformat()}",
                timestamp=moment.isoformat(),
            )
        )
    return many


class FakeAirflow:
    """
    Serves the page and the API beside it, on this machine.

    :param erasures: what the API knows.
    :param delay: seconds before each answer of the API.
    :ivar refusals: statuses with which some calls are answered instead: ``list``, ``value``, ``tasks``, ``task``,
        ``note``, ``may``.
    :ivar garbled: what some calls are answered with instead, whether or not it is JSON.
    :ivar calls: how often each was called.
    """

    def __init__(self, erasures: Iterable[Erasure] = (), delay: float = 0.0) -> None:
        self.delay = delay
        self.refusals: dict[str, int] = {}
        self.garbled: dict[str, str] = {}
        self.calls: Counter[str] = Counter()
        self.set(erasures)

    def set(self, erasures: Iterable[Erasure]) -> None:
        """Let the API know these erasures and no others."""
        self._erasures = {_key(erasure["entry"]): erasure for erasure in erasures}
        self._newest_first = sorted(self._erasures.values(), key=lambda each: str(each["entry"]["timestamp"]))[::-1]

    def __enter__(self) -> Self:
        self._listener = socket.socket()
        self._listener.bind(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        self._server = uvicorn.Server(uvicorn.Config(self._app(), log_level="error", lifespan="off"))
        self._thread = threading.Thread(target=self._server.run, args=([self._listener],), daemon=True)
        self._thread.start()
        while not self._server.started:
            time.sleep(0.01)
        return self

    def __exit__(self, *_: object) -> None:
        self._server.should_exit = True
        self._thread.join(10)
        self._listener.close()

    def _app(self) -> Starlette:
        return Starlette(
            routes=[
                Route(f"/{PAGE_ROUTE}/may/note/{{dag_id}}", self._answer("may", lambda _: {})),
                Mount(f"/{PAGE_ROUTE}", app=page_files),
                Route(f"{TASKS}/{{task_id}}/xcomEntries", self._answer("list", self._list)),
                Route(f"{TASKS}/{{task_id}}/xcomEntries/kore_erasure", self._answer("value", self._value)),
                Route(TASKS, self._answer("tasks", self._tasks)),
                Route(f"{TASKS}/{{task_id}}/{{map_index}}", self._answer("task", self._task)),
                Route(f"{TASKS}/{{task_id}}/{{map_index}}", self._answer("note", self._note), methods=["PATCH"]),
                Route(f"/plugin/{PAGE_ROUTE}", _frame),
            ]
        )

    def _answer(self, name: str, give: Callable[[Request], object]) -> Callable[[Request], Awaitable[Response]]:
        async def answer(request: Request) -> Response:
            self.calls[name] += 1
            if self.delay:
                await asyncio.sleep(self.delay)
            if name in self.refusals:
                return JSONResponse({"detail": "refused"}, self.refusals[name])
            if name in self.garbled:
                return Response(self.garbled[name], media_type="application/json")
            if request.method == "PATCH":
                request.state.sent = await request.json()
            body = give(request)
            return JSONResponse(body, 404 if body is None else 200)

        return answer

    def _matching(self, request: Request) -> list[Erasure]:
        wanted = {name: value for name, value in request.path_params.items() if value != "~"}
        if "task_id" in request.query_params:
            wanted["task_id"] = request.query_params["task_id"]
        if not wanted:
            return self._newest_first
        return [each for each in self._newest_first if all(each["entry"][name] == wanted[name] for name in wanted)]

    def _list(self, request: Request) -> object:
        found = [each for each in self._matching(request) if each["is_reported"]]
        return {"xcom_entries": [each["entry"] for each in _page(found, request)], "total_entries": len(found)}

    def _find(self, request: Request) -> Erasure | None:
        map_index = int({**request.query_params, **request.path_params}.get("map_index", -1))
        return self._erasures.get(_key(request.path_params | {"map_index": map_index}))

    def _value(self, request: Request) -> object:
        erasure = self._find(request)
        return erasure["entry"] | {"value": erasure["value"]} if erasure and erasure["is_reported"] else None

    def _tasks(self, request: Request) -> object:
        states = request.query_params.getlist("state")
        found = [each for each in self._matching(request) if (each["instance"]["state"] or "none") in states]
        return {"task_instances": [_instance(each) for each in _page(found, request)], "total_entries": len(found)}

    def _task(self, request: Request) -> object:
        erasure = self._find(request)
        return erasure and _instance(erasure)

    def _note(self, request: Request) -> object:
        erasure = self._find(request)
        if erasure is None:
            return None
        erasure["instance"]["note"] = request.state.sent["note"] or None
        return {"task_instances": [_instance(erasure)], "total_entries": 1}


def _key(entry: dict[str, Any]) -> tuple[str, str, str, int]:
    return entry["dag_id"], entry["run_id"], entry["task_id"], entry["map_index"]


def _page(found: list[Erasure], request: Request) -> list[Erasure]:
    offset = int(request.query_params.get("offset", 0))
    return found[offset : offset + min(MOST_AT_ONCE, int(request.query_params.get("limit", 50)))]


def _instance(erasure: Erasure) -> dict[str, Any]:
    entry = erasure["entry"]
    names = {name: entry[name] for name in ("dag_id", "task_id", "map_index")}
    return {**names, "dag_run_id": entry["run_id"], **erasure["instance"]}


async def _frame(_: Request) -> Response:
    return HTMLResponse(FRAME)
