"""`farandole check`: findings for people and for programs, exit codes, and the baseline."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import jsonschema
import pytest
from tests.cli.kit import Project

import farandole
from farandole.checks.registry import rules
from farandole.graph.of_code import graph_of
from farandole.testing.checking import check_choreography

WITHOUT_ALCHEMY = """
from farandole import Choreography, Command, Event, Service, Workflow

class PlaceOrder(Command):
    order_id: str

class OrderPlaced(Event, key="order_id"):
    order_id: str

class OrderHeard(Event, name="OrderPlaced", key="order_id", of="shop.orders"):
    order_id: str
    total: int

class MailSent(Event, key="order_id"):
    order_id: str

orders, mail = Service("orders"), Service("mail")

@orders.command
async def place(command: PlaceOrder) -> OrderPlaced: ...

@mail.on(OrderHeard)
async def thank(order: OrderHeard) -> MailSent: ...

shop = Choreography("shop", orders, mail, workflows=[Workflow("checkout", starts=OrderPlaced, succeeds=OrderPlaced)])
"""
SOUND = WITHOUT_ALCHEMY.replace("    total: int\n", "").replace("MailSent(Event,", "MailSent(Event, public=True,")


@pytest.fixture
def written(cafe: Project) -> Callable[[str], Project]:
    """A project with this module, of a name of its own."""

    def make(text: str) -> Project:
        name = f"{cafe.name}_checked"
        (cafe.folder / f"{name}.py").write_text(text, encoding="utf-8")
        sys.modules.pop(name, None)
        return Project(cafe.folder, name, cafe.capture)

    return make


@pytest.fixture
def faulty(written: Callable[[str], Project]) -> Project:
    return written(WITHOUT_ALCHEMY)


@pytest.fixture
def sound(written: Callable[[str], Project]) -> Project:
    return written(SOUND)


# --- for people


def test_a_sound_choreography_takes_one_line(sound: Project) -> None:
    code, out, err = sound.run("check", sound.app)
    assert (code, err) == (0, "")
    count = sum(rule.tier == "proof" for rule in rules().values())
    assert out == f"Nothing found in 2 services, 2 reactions, 3 messages; {count} proof rules and 0 hint rules ran.\n"


def test_findings_come_by_workflow_with_place_reason_and_remedy(faulty: Project) -> None:
    code, out, err = faulty.run("check", faulty.app)
    assert (code, err) == (1, "")
    file = f"{faulty.name}.py"
    count = sum(rule.tier == "proof" for rule in rules().values())
    assert out.splitlines() == [
        "checkout",
        "",
        f"  {file}:10  error missing-fields",
        "    mail needs total of OrderPlaced, which orders does not send.",
        "    why  Every such event is a dead letter of the reader: it cannot be read at all.",
        "    fix  Let orders send it, or remove it from the reader class.",
        "",
        f"  {file}:14  warning unconsumed",
        "    MailSent, which mail.thank emits, is consumed by nobody.",
        "    why  Work that somebody counts on is not done, and nothing tells: an event without a consumer looks like one that went well.",
        (
            "    fix  React to it, name it an outcome of a workflow, or, if others outside consume it, say so: "
            "class MailSent(Event, public=True). Otherwise delete it."
        ),
        "",
        f"1 error and 1 warning in 2 services, 2 reactions, 3 messages; {count} proof rules and 0 hint rules ran.",
    ]


def test_hints_are_marked_as_such(cafe: Project) -> None:
    quiet = cafe.run("check", cafe.app, "--rule", "sensitive-flow")
    assert quiet[0] == 1
    code, out, _ = cafe.run("check", cafe.app, "--rule", "names")
    assert (code, out.splitlines()[-1]) == (
        0,
        "Nothing found in 3 services, 4 reactions, 4 messages; 0 proof rules and 1 hint rule ran.",
    )


def test_only_the_rules_that_are_asked_for_run(faulty: Project) -> None:
    code, out, _ = faulty.run("check", faulty.app, "--rule", "unconsumed", "--rule", "unemitted")
    assert code == 0  # a warning
    assert "missing-fields" not in out
    assert "2 proof rules and 0 hint rules ran" in out


def test_warnings_fail_a_strict_check_only(faulty: Project) -> None:
    assert faulty.run("check", faulty.app, "--rule", "unconsumed")[0] == 0
    assert faulty.run("check", faulty.app, "--rule", "unconsumed", "--strict")[0] == 1


def test_all_rules_are_listed_with_tier_and_severity(cafe: Project) -> None:
    code, out, _ = cafe.run("check", "--list-rules")
    assert code == 0
    for rule in rules().values():
        assert f"  {rule.id:<28}{rule.severity:<9}{rule.title}\n" in out
    listed = cafe.json("check", "--list-rules")
    assert [line["id"] for line in listed] == list(rules())
    assert {line["tier"] for line in listed} == {"proof", "hint"}


def test_no_colours_leave_a_terminal(faulty: Project) -> None:
    assert "\x1b" not in faulty.run("check", faulty.app)[1]


# --- configuration


def test_what_the_configuration_says_is_printed_with_its_reason(faulty: Project) -> None:
    (faulty.folder / "farandole.toml").write_text(
        f'app = "{faulty.app}"\n'
        '[checks]\nmissing-fields = { severity = "warning", reason = "total comes in May" }\n'
        'unconsumed.MailSent = { severity = "off", reason = "the auditors read it" }\n'
        'unconsumed.Other = { severity = "off", reason = "gone" }\n'
    )
    code, out, err = faulty.run("check")
    assert (code, err) == (0, "")
    assert "missing-fields is set to warning: total comes in May\n" in out
    assert "unconsumed is off for shop.MailSent.v1: the auditors read it\n" in out
    assert '[tool.farandole.checks] unconsumed."Other": nothing is found there. Remove it.\n' in out
    assert out.splitlines()[-1].startswith("1 warning (1 off) in 2 services")


def test_the_window_of_the_configuration_counts(sound: Project) -> None:
    text = SOUND.replace(
        "@mail.on(OrderHeard)", "@mail.on(OrderHeard, policy=farandole.Policy(retry=farandole.Retry(delay=3600, longest=9e9)))"
    )
    (sound.folder / f"{sound.name}.py").write_text(f"import farandole\n{text}")
    assert sound.run("check", sound.app)[0] == 0
    (sound.folder / "farandole.toml").write_text('window = "2d"\n')
    code, out, _ = sound.run("check", sound.app)
    assert code == 1
    assert "The retries of mail.thank may take 85 h, but the inbox of mail forgets an event after 2 days." in out


@pytest.mark.parametrize(
    ("tokens", "line"),
    [
        (["--rule", "unconsumd"], "farandole: there is no rule 'unconsumd'. Did you mean unconsumed?"),
        (["--json", "--sarif"], "farandole: --json, --sarif and --github exclude each other: give one, or none for people"),
        (["--baseline", "."], "farandole: . cannot be read: "),
        (["--write-baseline", "--baseline", "nowhere/b.json"], "farandole: nowhere/b.json cannot be written: "),
    ],
)
def test_a_wrong_flag_is_one_line_and_exit_code_2(faulty: Project, tokens: list[str], line: str) -> None:
    code, out, err = faulty.run("check", faulty.app, *tokens)
    assert (code, out) == (2, "")
    assert err.startswith(line)
    assert err.count("\n") == 1


def test_a_wrong_setting_is_one_line_and_exit_code_2(faulty: Project) -> None:
    (faulty.folder / "farandole.toml").write_text("checks = 3\n")
    code, _, err = faulty.run("check", faulty.app)
    assert code == 2
    assert "farandole.toml checks: expected a table by rule such as names" in err


# --- the ratchet


def test_what_is_known_passes_what_is_new_fails_and_what_is_gone_is_told(written: Callable[[str], Project]) -> None:
    before = written(WITHOUT_ALCHEMY)
    code, out, _ = before.run("check", before.app, "--write-baseline")
    assert (code, out) == (0, "farandole-baseline.json: 2 findings known from now on. New ones fail.\n")
    code, out, _ = before.run("check", before.app, "--strict")
    assert code == 0
    assert out.startswith("Nothing found (2 known) in 2 services")

    worse = written(
        WITHOUT_ALCHEMY.replace("-> MailSent: ...", "-> LetterSent: ...").replace("class MailSent", "class LetterSent")
    )
    code, out, _ = worse.run("check", worse.app, "--strict")
    assert code == 1
    assert "LetterSent, which mail.thank emits, is consumed by nobody." in out
    assert "missing-fields" not in out
    assert "unconsumed is no longer found for shop.MailSent.v1. Strike it off: farandole check --write-baseline\n" in out


def test_a_baseline_may_lie_elsewhere(faulty: Project) -> None:
    assert faulty.run("check", faulty.app, "--write-baseline", "--baseline", "known.json")[0] == 0
    assert faulty.run("check", faulty.app)[0] == 1
    assert faulty.run("check", faulty.app, "--baseline", "known.json")[0] == 0


def test_writing_the_baseline_for_one_rule_keeps_what_is_known_of_others(faulty: Project) -> None:
    faulty.run("check", faulty.app, "--write-baseline")
    both = (faulty.folder / "farandole-baseline.json").read_text()
    code, out, _ = faulty.run("check", faulty.app, "--write-baseline", "--rule", "unconsumed")
    assert (code, out) == (0, "farandole-baseline.json: 2 findings known from now on. New ones fail.\n")
    assert (faulty.folder / "farandole-baseline.json").read_text() == both


# --- for programs


def test_json_has_every_finding_with_its_verdict(faulty: Project) -> None:
    code, out, _ = faulty.run("check", faulty.app, "--json")
    report = json.loads(out)
    assert (code, report["fails"], report["counts"]) == (1, True, {"error": 1, "warning": 1, "known": 0, "off": 0})
    [unconsumed] = [finding for finding in report["findings"] if finding["rule"] == "unconsumed"]
    assert unconsumed["why"] == rules()["unconsumed"].why
    assert unconsumed["fix"].startswith("React to it")
    assert {key: value for key, value in unconsumed.items() if key not in ("why", "fix")} == {
        "rule": "unconsumed",
        "tier": "proof",
        "severity": "warning",
        "reason": None,
        "file": f"{faulty.name}.py",
        "line": 14,
        "pointer": None,
        "workflow": "checkout",
        "subject": "shop.MailSent.v1",
        "what": "MailSent, which mail.thank emits, is consumed by nobody.",
        "trail": [],
    }


def test_annotations_stand_beside_the_lines_of_a_pull_request(faulty: Project) -> None:
    code, out, _ = faulty.run("check", faulty.app, "--github")
    lines = out.splitlines()
    assert code == 1
    assert f"::error file={faulty.name}.py,line=10,title=farandole missing-fields::mail needs total of OrderPlaced, which" in out
    assert sorted(line.split(" ")[0] for line in lines) == ["1", "::error", "::warning"]


def sarif(project: Project, *tokens: str) -> dict[str, object]:
    return json.loads(project.run("check", project.app, "--sarif", *tokens)[1])


def test_sarif_has_rules_places_and_suppressions(faulty: Project) -> None:
    faulty.run("check", faulty.app, "--write-baseline", "--rule", "unconsumed")
    [run] = sarif(faulty)["runs"]
    driver = run["tool"]["driver"]
    by_rule = {result["ruleId"]: result for result in run["results"]}
    error, known = by_rule["missing-fields"], by_rule["unconsumed"]
    assert driver["rules"][error["ruleIndex"]]["id"] == "missing-fields"
    assert error["level"] == "error"
    assert error["locations"][0]["physicalLocation"] == {
        "artifactLocation": {"uri": f"{faulty.name}.py", "uriBaseId": "ROOT"},
        "region": {"startLine": 10},
    }
    assert "suppressions" not in error
    assert known["suppressions"] == [{"kind": "external", "status": "accepted", "justification": "known in the baseline"}]
    assert run["originalUriBaseIds"]["ROOT"]["uri"] == faulty.folder.resolve().as_uri() + "/"


def test_sarif_is_valid_against_the_schema_of_its_standard(faulty: Project, shared: Path) -> None:
    path = shared / "conformance" / "sarif" / "sarif-schema-2.1.0.json"
    if not path.exists():
        pytest.skip(f"{path} is absent: it is OASIS's schema of SARIF 2.1.0")
    schema = json.loads(path.read_text())
    validator = jsonschema.validators.validator_for(schema)(schema, format_checker=jsonschema.FormatChecker())
    for tokens in ([], ["--hints"], ["--rule", "names"]):
        validator.validate(sarif(faulty, *tokens))


# --- manifests


@pytest.fixture
def manifests(faulty: Project) -> Project:
    """The faulty choreography as a folder of manifests."""
    assert faulty.run("manifest", faulty.app, "--output", "manifests")[0] == 0
    return faulty


def test_a_folder_of_manifests_is_checked_like_the_code_that_they_came_from(manifests: Project) -> None:
    from_code = manifests.run("check", manifests.app)
    assert manifests.run("check", "manifests") == from_code


def test_a_document_that_cannot_be_read_is_an_error_with_its_line(manifests: Project) -> None:
    (manifests.folder / "manifests" / "broken.yaml").write_text("asyncapi: 3.0.0\ninfo: [\n")
    code, out, err = manifests.run("check", "manifests")
    assert (code, err) == (1, "")
    assert "manifests/broken.yaml:" in out
    assert "error manifest-" in out
    assert "2 errors and 1 warning in 2 services" in out


def test_what_a_stranger_wrote_cannot_steer_a_terminal_or_a_build(faulty: Project) -> None:
    faulty.run("manifest", faulty.app, "--output", "strange", "--json")
    for path in (faulty.folder / "strange").iterdir():
        path.write_text(path.read_text().replace("MailSent", r"Mail\u001b[2J\n::error::Sent"))
    for tokens in ([], ["--github"]):
        _, out, err = faulty.run("check", "strange", *tokens)
        assert "::error::Sent" in out + err
        assert "\x1b" not in out + err
        assert not any(line.startswith("::error::") for line in out.splitlines())


def test_a_path_that_is_not_there_is_one_line_and_exit_code_2(cafe: Project) -> None:
    code, out, err = cafe.run("check", "nowhere/at/all")
    assert (code, out) == (2, "")
    assert err.startswith("farandole: there is no file or folder nowhere/at/all.")


# --- what it takes


@pytest.mark.real_time
@pytest.mark.parametrize("what", ["app", "manifests"])
def test_it_runs_without_the_runtime_and_sqlalchemy(manifests: Project, what: str) -> None:
    faulty, named = manifests, manifests.app if what == "app" else what
    program = (
        "import sys; from farandole.cli import main\n"
        f"code = main(['check', '{named}', '--hints'])\n"
        "print(code, sorted(name for name in sys.modules if name.startswith('farandole.runtime') or name == 'sqlalchemy'))"
    )
    source = str(Path(farandole.__file__).parents[1])
    done = subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True,
        text=True,
        check=True,
        cwd=faulty.folder,
        env={**os.environ, "PYTHONPATH": source},
    )
    assert done.stdout.splitlines()[-1] == "1 []"


# --- in a test of one's own


def test_one_line_in_a_test_checks_a_choreography(sound: Project, faulty: Project) -> None:
    with pytest.raises(AssertionError, match="shop is not sound") as caught:
        check_choreography(faulty.module().shop)
    assert "mail needs total of OrderPlaced" in str(caught.value)


def test_in_a_test_the_configuration_and_the_baseline_count_as_well(faulty: Project) -> None:
    shop = faulty.module().shop
    assert check_choreography(shop, only=["unconsumed"]).count("warning") == 1
    with pytest.raises(AssertionError):
        check_choreography(shop, only=["unconsumed"], strict=True)
    faulty.run("check", faulty.app, "--write-baseline")
    assert check_choreography(graph_of(shop), strict=True).count("known") == 2
