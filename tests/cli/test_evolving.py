"""`farandole diff`, `can-deploy` and `deployed`, over folders, git revisions and registries."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.cli.kit import CAFE, Project

from farandole.manifest import read_folder
from farandole.manifest.diff import diff

LEAN = (
    CAFE.replace("class OrderPlaced(OrderEvent):\n    email: Annotated[str, Sensitive]", "class OrderPlaced(OrderEvent): ...")
    .replace("OrderPlaced(order_id=command.order_id, email=command.email)", "OrderPlaced(order_id=command.order_id)")
    .replace("{order.email}", "{order.order_id}")
)
RENAMED = CAFE.replace("async def charge(order: OrderPlaced", "async def bill(order: OrderPlaced")
FORMERLY = RENAMED.replace("@payments.on(OrderPlaced, ", '@payments.on(OrderPlaced, formerly="charge", ')


def git(folder: Path, *words: str) -> str:
    who = {"GIT_AUTHOR_NAME": "a", "GIT_AUTHOR_EMAIL": "a@home", "GIT_COMMITTER_NAME": "a", "GIT_COMMITTER_EMAIL": "a@home"}
    environment = {**os.environ, **who, "GIT_CONFIG_GLOBAL": os.devnull}
    done = subprocess.run(["git", *words], cwd=folder, capture_output=True, text=True, check=True, env=environment)
    return done.stdout.strip()


@pytest.fixture
def repository(cafe: Project, monkeypatch: pytest.MonkeyPatch) -> Project:
    """The café in a git repository, with its manifests."""
    for name, value in {"GIT_AUTHOR_NAME": "a", "GIT_AUTHOR_EMAIL": "a@home", "GIT_CONFIG_GLOBAL": os.devnull}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("GIT_COMMITTER_NAME", "a")
    monkeypatch.setenv("GIT_COMMITTER_EMAIL", "a@home")
    git(cafe.folder, "init", "-q", "-b", "trunk")
    assert cafe.run("manifest", "--output", "manifests")[0] == 0
    git(cafe.folder, "add", "-A")
    git(cafe.folder, "commit", "-q", "-m", "first")
    return cafe


# --- diff


def test_a_choreography_and_its_manifests_do_not_differ(cafe: Project) -> None:
    cafe.run("manifest", "--output", "manifests")
    assert cafe.run("diff", "manifests", cafe.app) == (0, "nothing changed\n", "")


def test_what_breaks_is_told_with_whom_it_reaches_and_exit_code_1(project: Callable[..., Project]) -> None:
    old, new = project(), project(LEAN)
    code, out, _ = new.run("diff", old.app, new.app)
    assert "field `email` of OrderPlaced is gone" in out
    assert "Deploy email and payments before orders" in out
    assert out.endswith("1 risky\n")
    assert code == 0
    assert new.run("diff", old.app, new.app, "--fail-on", "risky")[0] == 1
    code, out, _ = new.run("diff", new.app, old.app)
    assert (code, out.startswith("breaking\n  field `email` of OrderPlaced is new, and required")) == (1, True)
    assert new.run("diff", new.app, old.app, "--fail-on", "never")[0] == 0


def test_json_and_markdown_say_the_same(project: Callable[..., Project]) -> None:
    old, new = project(), project(RENAMED)
    code, out, _ = new.run("diff", old.app, new.app, "--json")
    found = json.loads(out)
    assert (code, found["summary"]) == (1, {"breaking": 1, "risky": 0, "fine": 0})
    assert found["changes"][0]["kind"] == "reaction-renamed"
    code, out, _ = new.run("diff", old.app, new.app, "--markdown")
    assert code == 1
    assert out.startswith(
        "### shop: what changes\n\n1 breaking\n\n#### Breaking\n\n- **payments.charge seems to be payments.bill now"
    )
    assert "<br>Do: Say formerly=" in out


def test_what_a_stranger_wrote_is_harmless_in_markdown_and_on_a_terminal(cafe: Project, tmp_path: Path) -> None:
    cafe.run("manifest", "--output", "old")
    cafe.run("manifest", "--output", "new")
    for path in (tmp_path / "new").iterdir():
        text = path.read_text().replace("title: shop.payments", "title: shop.payments\n  description: x")
        path.write_text(text.replace("shop.payments.charge", "shop.payments.<script>|`\\u001b[2J"))
    code, out, _ = cafe.run("diff", "old", "new", "--markdown")
    assert "<script>" not in out
    code, out, _ = cafe.run("diff", "old", "new")
    assert code in (0, 1)
    assert "\x1b" not in out


def test_an_earlier_revision_is_read_without_a_checkout(repository: Project) -> None:
    manifests = repository.folder / "manifests"
    text = (manifests / "shop.orders.yaml").read_text()
    (manifests / "shop.orders.yaml").write_text(text.replace("address: shop.orders", "address: shop.elsewhere"))
    code, out, _ = repository.run("diff", "manifests", "--git", "trunk")
    assert code == 1
    assert "OrderPlaced moves from topic shop.orders to shop.elsewhere" in out
    assert "elsewhere" in (manifests / "shop.orders.yaml").read_text()
    code, out, _ = repository.run("diff", "manifests/shop.orders.yaml", "--git", "HEAD")
    assert "moves from topic" in out
    (manifests / "shop.email.yaml").unlink()
    code, out, _ = repository.run("diff", "manifests", "--git", "HEAD", "--json")
    [gone] = [change for change in json.loads(out)["changes"] if change["kind"] == "service-removed"]
    assert gone["what"] == "service email is gone, with notify"
    git(repository.folder, "rm", "-q", "-r", "--cached", "manifests")
    assert repository.run("diff", "manifests", repository.app, "--git", "HEAD") == (0, "nothing changed\n", "")


def test_a_link_in_a_revision_leads_nowhere(repository: Project) -> None:
    (repository.folder / "manifests" / "link.yaml").symlink_to("/etc/hostname")
    git(repository.folder, "add", "-A")
    git(repository.folder, "commit", "-q", "-m", "link")
    (repository.folder / "manifests" / "link.yaml").unlink()
    assert repository.run("diff", "manifests", "--git", "HEAD") == (0, "nothing changed\n", "")


@pytest.mark.parametrize(
    ("tokens", "line"),
    [
        (["diff", "manifests"], "diff manifests: with what? Give a second version, or --git REVISION"),
        (["diff", "manifests", "nowhere"], "nowhere"),
        (["diff", "manifests", "--git", "nowhere"], "no revision 'nowhere'"),
        (["diff", "manifests", "--git=--output=x"], "no revision '--output=x'"),
        (["diff", "src", "--git", "HEAD"], "src at HEAD: there are no YAML or JSON files there"),
        (["diff", "..", "--git", "HEAD"], "git"),
        (["diff", "a:b", "--git", "HEAD"], "a:b is Python, which is not run from another revision. Compare manifests"),
        (["diff", "manifests", "manifests", "--json", "--markdown"], "--json and --markdown exclude each other"),
        (["diff", "manifests", "manifests", "--fail-on", "fine"], "--fail-on"),
        (["can-deploy", "orders"], "can-deploy orders: which version? Give --version, or orders@VERSION"),
        (["can-deploy", "orders@1", "--to", "production"], "there is no environment 'production'. Record what runs there"),
        (["can-deploy", "orders@1", "orders@2"], "orders is given twice"),
        (["can-deploy", "orders@1", "--git", "HEAD"], "there are no YAML or JSON files there"),
        (["deployed", "order", "--version", "1", "--env", "production"], "there is no service 'order'"),
        (["deployed", "orders", "--version", "../1", "--env", "production"], "version: expected letters, digits"),
        (["deployed", "orders", "--version", "1", "--env", "versions"], "environment: expected letters, digits"),
        (["deployed", "orders", "--version", "1", "--env", "a/b"], "environment: expected letters, digits"),
        (["deployed", "orders", "--version", "1", "--env", "x", "--registry", "farandole.toml"], "cannot be written"),
    ],
)
def test_what_cannot_be_compared_is_one_line(repository: Project, tokens: list[str], line: str) -> None:
    code, out, err = repository.run(*tokens)
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert line in err


def test_without_git_it_says_what_is_missing(repository: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    code, _, err = repository.run("diff", "manifests", "--git", "HEAD")
    assert (code, err.count("\n")) == (2, 1)
    assert "git is not installed" in err


def test_a_manifest_that_cannot_be_read_is_no_difference_but_an_error(repository: Project) -> None:
    (repository.folder / "manifests" / "shop.email.yaml").write_text("asyncapi: 3.1.0\nchannels: [")
    code, out, err = repository.run("diff", "manifests", "--git", "HEAD")
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert "manifests/shop.email.yaml" in err


# --- deployed and can-deploy


def all_deployed(project: Project, version: str = "1.0") -> None:
    for service in ("orders", "payments", "email"):
        assert project.run("deployed", service, "--version", version, "--env", "production", "--manifest", project.app)[0] == 0


def test_what_is_recorded_is_a_folder_of_manifests_for_each_environment(cafe: Project) -> None:
    all_deployed(cafe)
    graph, findings = read_folder("registry/production")
    assert (sorted(graph.service), findings) == (["shop.email", "shop.orders", "shop.payments"], [])
    assert {service.version for service in graph.services} == {"1.0"}
    files = sorted(str(path) for path in Path("registry").rglob("*") if path.is_file())
    assert files[:2] == ["registry/production/shop.email.yaml", "registry/production/shop.orders.yaml"]
    assert files[3:5] == ["registry/versions/shop.email/1.0.yaml", "registry/versions/shop.orders/1.0.yaml"]
    assert graph.read[("shop.email", "shop.OrderPlaced.v1")].schema == graph.owned["shop.OrderPlaced.v1"].schema


def test_what_is_deployed_may_be_deployed(cafe: Project) -> None:
    all_deployed(cafe)
    assert cafe.run("can-deploy", "orders", "payments", "email", "--version", "1.0") == (
        0,
        "1. email 1.0 may go to production\n2. orders 1.0 may go to production\n3. payments 1.0 may go to production\n",
        "",
    )


def test_a_sender_may_not_drop_what_deployed_readers_need(project: Callable[..., Project]) -> None:
    old, new = project(), project(LEAN)
    all_deployed(old)
    code, out, _ = new.run("can-deploy", "orders", "--version", "1.1", "--manifest", new.app)
    assert code == 1
    assert out.startswith("orders 1.1 may not go to production\n  breaking\n    field `email` of OrderPlaced is gone")
    assert "email and payments cannot read what is written now" in out


def test_several_are_told_in_the_order_in_which_they_may_go(project: Callable[..., Project]) -> None:
    old, new = project(), project(LEAN)
    all_deployed(old)
    code, out, _ = new.run("can-deploy", "orders@1.1", "payments@1.1", "email@1.1", "--manifest", new.app)
    assert (code, [line for line in out.splitlines() if " may " in line]) == (
        0,
        ["1. email 1.1 may go to production", "2. payments 1.1 may go to production", "3. orders 1.1 may go to production"],
    )
    found = json.loads(new.run("can-deploy", "orders@1.1", "email@1.1", "--manifest", new.app, "--json")[1])
    assert found["compatible"] is False
    assert [step["service"] for step in found["order"]] == ["shop.email"]
    assert found["blocked"][0]["changes"][0]["affected"] == ["shop.payments"]


def test_a_rename_needs_formerly(project: Callable[..., Project]) -> None:
    old, wrong, right = project(), project(RENAMED), project(FORMERLY)
    all_deployed(old)
    code, out, _ = wrong.run("can-deploy", "payments", "--version", "2", "--manifest", wrong.app)
    assert code == 1
    assert "payments.charge seems to be payments.bill now, without formerly=" in out
    code, out, _ = right.run("can-deploy", "payments", "--version", "2", "--manifest", right.app)
    assert (code, out) == (0, "payments 2 may go to production\n")


def test_a_version_is_found_where_it_was_recorded_for_promotions_and_rollbacks(project: Callable[..., Project]) -> None:
    old, new = project(), project(LEAN)
    all_deployed(old)
    assert new.run("deployed", "email", "--version", "1.1", "--env", "staging", "--manifest", new.app)[0] == 0
    assert new.run("can-deploy", "email@1.1")[:2] == (0, "email 1.1 may go to production\n")
    assert new.run("deployed", "email", "--version", "1.1", "--env", "production")[0] == 0
    assert new.run("can-deploy", "email@1.0", "--to", "staging")[0] == 0
    graph, _ = read_folder("registry/production")
    assert graph.service["shop.email"].version == "1.1"


def test_a_version_is_one_thing_for_good(project: Callable[..., Project]) -> None:
    old, new = project(), project(LEAN)
    all_deployed(old)
    all_deployed(old)  # again: nothing new
    before = Path("registry/production/shop.orders.yaml").read_bytes()
    code, out, err = new.run("deployed", "orders", "--version", "1.0", "--env", "production", "--manifest", new.app)
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert "version 1.0 of orders is known already, and says something else" in err
    assert Path("registry/production/shop.orders.yaml").read_bytes() == before


def test_a_service_that_nobody_knows_is_told_with_the_nearest(cafe: Project) -> None:
    all_deployed(cafe)
    (cafe.folder / "farandole.toml").unlink()
    code, _, err = cafe.run("can-deploy", "order@7")
    assert (code, err.count("\n")) == (2, 1)
    assert "does not know version 7 of order (Did you mean orders?)" in err


def test_a_write_that_is_cut_off_leaves_the_file_of_before(cafe: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    all_deployed(cafe)
    before = {path: path.read_bytes() for path in Path("registry").rglob("*.yaml")}

    def full(number: int) -> None:
        raise OSError(28, "No space left on device", "registry")

    monkeypatch.setattr(os, "fsync", full)
    code, _, err = cafe.run("deployed", "orders", "--version", "1.1", "--env", "production")
    assert (code, err.count("\n")) == (2, 1)
    assert "No space left on device" in err
    assert {path: path.read_bytes() for path in Path("registry").rglob("*") if path.is_file()} == before


def test_the_record_is_committed_alone_and_read_from_a_branch(repository: Project) -> None:
    (repository.folder / "staged.txt").write_text("not yet")
    git(repository.folder, "add", "staged.txt")
    code, out, _ = repository.run("deployed", "orders", "--version", "1.0", "--env", "production", "--commit")
    assert (code, "committed as " in out) == (0, True)
    assert git(repository.folder, "log", "-1", "--format=%s") == "orders 1.0 is in production"
    names = git(repository.folder, "show", "--name-only", "--format=", "HEAD").splitlines()
    assert names == ["registry/production/shop.orders.yaml", "registry/versions/shop.orders/1.0.yaml"]
    assert git(repository.folder, "status", "--porcelain") == "A  staged.txt"
    code, out, _ = repository.run("deployed", "orders", "--version", "1.0", "--env", "production", "--commit")
    assert (code, "nothing to commit: it was recorded already" in out) == (0, True)
    git(repository.folder, "branch", "deployments")
    git(repository.folder, "rm", "-q", "-r", "registry")
    assert repository.run("can-deploy", "orders@1.0", "--git", "deployments")[0] == 0
    assert repository.run("can-deploy", "orders@1.0")[0] == 2


def test_diff_runs_on_an_environment_as_on_any_folder(project: Callable[..., Project]) -> None:
    cafe = project()
    all_deployed(cafe)
    graph, _ = read_folder("registry/production")
    assert diff(graph, graph) == []
    code, out, _ = cafe.run("diff", "registry/production", cafe.app)
    assert (code, "breaking" in out) == (0, False)
