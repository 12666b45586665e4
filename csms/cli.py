"""The command line: ``tapvolt``."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import logging
import signal
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar

import orjson
from pydantic import BaseModel, SecretStr
from sqlalchemy import make_url, select, update
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncEngine

from billing.pan import redact_pans
from csms.settings import Settings, SettingsError, load_settings
from csms.web.api.access import Role, TokenRefusedError, create_token, revoke_token
from sessions.directory import Admission
from storage import fleet_schema
from storage import schema as t
from storage.engine import create_engine, make_folder, reading, writing
from storage.upgrade import SchemaError, require_newest, upgrade

T = TypeVar("T")

DEFAULT_CONFIG = Path("tapvolt.toml")


def main(argv: list[str] | None = None) -> int:
    """Run ``tapvolt``; return the exit status: 0 done, 1 failed, 2 wrong usage or settings."""
    args = _parser().parse_args(argv)
    try:
        return int(args.run(args))
    except SettingsError as error:
        print(f"tapvolt: these settings cannot be used:\n{error}", file=sys.stderr)
        return 2
    except (SchemaError, DatabaseError, OSError) as error:
        print(f"tapvolt: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="tapvolt",
        description="Tap a bank card, charge a car: a central system that puts a card terminal on any OCPP station.",
        epilog="Start with `tapvolt demo`. Settings: docs/settings.md; `tapvolt config show` prints what is in force.",
    )
    commands = parser.add_subparsers(title="commands", required=True, metavar="COMMAND")

    serve = commands.add_parser("serve", help="run the central system")
    _config_argument(serve)
    serve.set_defaults(run=_serve)

    demo = commands.add_parser(
        "demo",
        help="play paid sessions from tap to receipt, with simulated terminals and stations",
        description="Start everything on an embedded database, play paid sessions and check them. Under two minutes.",
    )
    demo.add_argument("--play", action="store_true", help="keep everything up, to tap cards and plug in cars yourself")
    demo.add_argument("--dir", type=Path, default=Path("var/demo"), help="where receipts and database go (%(default)s)")
    demo.add_argument("--speed", type=float, default=None, help="how many times faster time runs (120; with --play: 1)")
    demo.set_defaults(run=_demo)

    simulate = commands.add_parser("simulate", help="run a simulator as a process of its own")
    simulators = simulate.add_subparsers(title="simulators", required=True, metavar="WHAT")
    _add_simulators(simulators)

    db = commands.add_parser("db", help="look after the database")
    db_commands = db.add_subparsers(title="commands", required=True, metavar="COMMAND")
    up = db_commands.add_parser("upgrade", help="bring the schema up to date; run it before starting a new version")
    _config_argument(up)
    up.set_defaults(run=_db_upgrade)

    config = commands.add_parser("config", help="look at the settings")
    config_commands = config.add_subparsers(title="commands", required=True, metavar="COMMAND")
    show = config_commands.add_parser("show", help="print the settings in force, secrets masked")
    _config_argument(show)
    show.set_defaults(run=_config_show)

    station = commands.add_parser("station", help="list stations, approve or refuse one that waits")
    station_commands = station.add_subparsers(title="commands", required=True, metavar="COMMAND")
    listed = station_commands.add_parser("list", help="stations, with what is known of them")
    _config_argument(listed)
    listed.set_defaults(run=_station_list)
    for name, admission in (("approve", Admission.ACCEPTED), ("refuse", Admission.REFUSED)):
        verdict = station_commands.add_parser(name, help=f"{name} a station; it takes effect with its next message")
        verdict.add_argument("station_id", help="its identity, as `tapvolt station list` shows it")
        _config_argument(verdict)
        verdict.set_defaults(run=_station_verdict, admission=admission)
    token = commands.add_parser("token", help="make, list and revoke tokens of the operator's API")
    token_commands = token.add_subparsers(title="commands", required=True, metavar="COMMAND")
    create = token_commands.add_parser("create", help="make a token; it is printed this once")
    create.add_argument("name", help="whose it is; the audit trail shows it")
    create.add_argument("--role", choices=[role.value for role in Role], default=Role.READ_ONLY.value)
    create.add_argument("--owner", metavar="OWNER_ID", help="for a site owner's user, who sees that owner's alone")
    _config_argument(create)
    create.set_defaults(run=_token_create)
    tokens = token_commands.add_parser("list", help="tokens, without themselves")
    _config_argument(tokens)
    tokens.set_defaults(run=_token_list)
    revoke = token_commands.add_parser("revoke", help="end a token at once")
    revoke.add_argument("token_id", help="its id, as `tapvolt token list` shows it")
    _config_argument(revoke)
    revoke.set_defaults(run=_token_revoke)

    pans = commands.add_parser(
        "pan-check",
        help="look for card numbers in every text of the database, and in log files",
        description="Tells where a card number stands, never the number. Exit status: 0 none, 1 some, 2 wrong usage.",
    )
    pans.add_argument("logs", nargs="*", type=Path, metavar="LOG", help="log files to read too; .gz as they are")
    _config_argument(pans)
    pans.set_defaults(run=_pan_check)
    return parser


def _config_argument(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--config",
        type=Path,
        default=None,
        help="settings file (TOML); default: tapvolt.toml if it is here. The environment (TAPVOLT_…) wins over it.",
    )


def _add_simulators(simulators: Any) -> None:
    from simulators.station import cli as station_cli
    from simulators.terminal_cloud import cli as cloud_cli

    station = simulators.add_parser("station", help="a charging station, or many")
    station_cli.add_arguments(station)
    station.set_defaults(run=station_cli.run)
    cloud = simulators.add_parser("terminal-cloud", help="the payment terminals' cloud")
    cloud_cli.add_arguments(cloud)
    cloud.set_defaults(run=cloud_cli.run)


class DatabaseError(RuntimeError):
    """The database cannot be used; the text says which, and what to do."""


@contextlib.asynccontextmanager
async def _database(settings: Settings) -> AsyncIterator[AsyncEngine]:
    """The database of the settings; what goes wrong with it comes out as a `DatabaseError`."""
    url = make_url(settings.database_url)
    engine = create_engine(settings.database_url)
    try:
        make_folder(settings.database_url)
        yield engine
    except (SQLAlchemyError, OSError) as error:
        reason = str(getattr(error, "orig", None) or error).splitlines()[0]
        shown = url.render_as_string(hide_password=True)
        raise DatabaseError(f"the database {shown} cannot be used: {reason}. Check database_url.") from error
    finally:
        await engine.dispose()


def _settings(args: argparse.Namespace) -> Settings:
    path: Path | None = args.config
    if path is None and DEFAULT_CONFIG.exists():
        path = DEFAULT_CONFIG
    return load_settings(path)


class _NoPanFormatter(logging.Formatter):
    """The last net: whatever reaches the log, card numbers in it are masked."""

    def format(self, record: logging.LogRecord) -> str:
        return redact_pans(super().format(record))


def set_up_logging(level: str) -> None:
    """Log to standard error, one line an event, no card numbers."""
    handler = logging.StreamHandler()
    handler.setFormatter(_NoPanFormatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
    logging.basicConfig(level=level, handlers=[handler], force=True)
    # These log statements, headers and addresses at DEBUG, and those hold secrets.
    for name in ("sqlalchemy", "aiosqlite", "asyncio", "aiohttp", "websockets", "alembic"):
        logging.getLogger(name).setLevel(logging.WARNING)


def _serve(args: argparse.Namespace) -> int:
    from csms.app import running

    settings = _settings(args)
    set_up_logging(settings.log_level)

    async def serve() -> None:
        stopped = asyncio.Event()
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            with contextlib.suppress(NotImplementedError):
                loop.add_signal_handler(number, stopped.set)
        async with _database(settings) as engine, reading(engine):
            pass  # it answers; a wrong address is said in a sentence
        async with running(settings) as app:
            for profile, url in app.ocpp_urls.items():
                print(f"stations: {url}/<station id> (security profile {profile})", flush=True)
            print(f"HTTP: {app.public_url}", flush=True)
            await stopped.wait()

    run_loop(serve())
    return 0


def run_loop(main_task: Any) -> None:
    """Run on uvloop where it is installed: a third less CPU per message."""
    try:
        import uvloop
    except ImportError:
        asyncio.run(main_task)
        return
    uvloop.run(main_task)


def _demo(args: argparse.Namespace) -> int:
    from csms.demo import demo, play

    set_up_logging("WARNING")
    if args.play:
        asyncio.run(play(args.dir, args.speed or 1.0))
        return 0
    return asyncio.run(demo(args.dir, args.speed or 120.0))


def _db_upgrade(args: argparse.Namespace) -> int:
    settings = _settings(args)

    async def run() -> tuple[str | None, str]:
        async with _database(settings) as engine:
            return await upgrade(engine)

    before, after = asyncio.run(run())
    print(
        f"the schema is up to date ({after})" if before == after else f"upgraded from {before or 'nothing'} to {after}"
    )
    return 0


def _config_show(args: argparse.Namespace) -> int:
    shown = _masked(_settings(args))
    print(orjson.dumps(shown, option=orjson.OPT_INDENT_2, default=str).decode())
    return 0


def _masked(value: Any) -> Any:
    if isinstance(value, SecretStr):
        return "**********"
    if isinstance(value, BaseModel):
        return {name: _masked_field(name, getattr(value, name)) for name in type(value).model_fields}
    if isinstance(value, tuple | list):
        return [_masked(item) for item in value]
    return value


def _masked_field(name: str, value: Any) -> Any:
    if name == "database_url":
        return make_url(value).render_as_string(hide_password=True)
    return _masked(value)


def _station_list(args: argparse.Namespace) -> int:
    settings = _settings(args)

    async def run() -> list[Any]:
        async with _database(settings) as engine:
            await require_newest(engine)
            async with reading(engine) as connection:
                return list((await connection.execute(select(t.stations).order_by(t.stations.c.station_id))).all())

    rows = asyncio.run(run())
    if not rows:
        print("no station is known yet")
    for row in rows:
        made = " ".join(part for part in (row.vendor, row.model, row.firmware_version) if part)
        line = "online" if row.connected else "offline"
        print(f"{row.station_id:<24} {row.admission:<9} {line:<8} {row.version or '-':<10} {made}")
    return 0


def _station_verdict(args: argparse.Namespace) -> int:
    settings = _settings(args)

    async def run() -> int:
        async with _database(settings) as engine:
            await require_newest(engine)
            async with writing(engine) as connection:
                which = t.stations.c.station_id == args.station_id
                changed = await connection.execute(
                    update(t.stations).where(which).values(admission=args.admission.value)
                )
                return int(changed.rowcount)

    if not asyncio.run(run()):
        print(f"tapvolt: no station {args.station_id!r} is known; see `tapvolt station list`", file=sys.stderr)
        return 1
    print(f"{args.station_id}: {args.admission.value}; in effect from its next boot notification")
    return 0


def _on_database(args: argparse.Namespace, work: Callable[[AsyncEngine], Awaitable[T]]) -> T:
    settings = _settings(args)

    async def run() -> T:
        async with _database(settings) as engine:
            await require_newest(engine)
            return await work(engine)

    return asyncio.run(run())


def _token_create(args: argparse.Namespace) -> int:
    async def work(engine: AsyncEngine) -> tuple[str, str]:
        return await create_token(engine, args.name[:60], Role(args.role), datetime.now(UTC), owner_id=args.owner)

    try:
        token_id, token = _on_database(args, work)
    except TokenRefusedError as refused:
        print(f"tapvolt: no token was made: {refused}", file=sys.stderr)
        return 1
    whose = f", of {args.owner}" if args.owner else ""
    print(f"{token}\n(id {token_id}, role {args.role}{whose}; it is shown this once)")
    return 0


def _token_list(args: argparse.Namespace) -> int:
    async def work(engine: AsyncEngine) -> list[Any]:
        async with reading(engine) as connection:
            query = select(fleet_schema.api_tokens).order_by(fleet_schema.api_tokens.c.created_at)
            return list((await connection.execute(query)).all())

    for row in _on_database(args, work):
        state = "revoked" if row.revoked_at else "valid"
        print(f"{row.token_id}  {row.role:<10} {state:<8} {row.owner_id or '-':<16} {row.name}")
    return 0


def _token_revoke(args: argparse.Namespace) -> int:
    if not _on_database(args, lambda engine: revoke_token(engine, args.token_id, datetime.now(UTC))):
        print(f"tapvolt: there is no token {args.token_id!r}; see `tapvolt token list`", file=sys.stderr)
        return 1
    print(f"{args.token_id}: revoked")
    return 0


def _pan_check(args: argparse.Namespace) -> int:
    from csms.pan_check import reflected, scan_database, scan_log

    settings = _settings(args)

    async def run() -> int:
        found = 0
        async with _database(settings) as engine:
            tables = await reflected(engine)
            async for hit in scan_database(engine, tables):
                found += 1
                print(f"card number in {hit}", file=sys.stderr)
        print(f"{len(tables)} tables read")
        return found

    found = asyncio.run(run())
    for path in args.logs:
        for hit in scan_log(path):
            found += 1
            print(f"card number in {hit}", file=sys.stderr)
    print(f"{found} places with a card number" if found else "no card number found")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
