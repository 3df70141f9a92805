"""`farandole manifest` and `farandole codegen`: documents and classes, on the standard output and in files."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.cli.kit import CAFE, Project

from farandole.cli.chart import chart_of
from farandole.errors import ConfigurationError
from farandole.manifest import read_folder

SERVICES = ["shop.email", "shop.orders", "shop.payments"]


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_one_service_goes_to_the_standard_output(cafe: Project) -> None:
    code, out, err = cafe.run("manifest", cafe.app, "--service", "payments")
    assert (code, err) == (0, "")
    assert out.startswith("asyncapi: 3.1.0\ninfo:\n  title: shop.payments\n")
    assert f"place: {cafe.name}.py:" in out
    assert str(cafe.folder) not in out
    assert cafe.run("manifest", "--service", "shop.payments")[1] == out


def test_json_is_the_same_document(cafe: Project) -> None:
    assert cafe.json("manifest", "--service", "orders")["info"]["title"] == "shop.orders"


def test_a_folder_gets_a_document_for_each_service(cafe: Project) -> None:
    code, out, _ = cafe.run("manifest", "--output", "some/manifests")
    assert (code, out) == (0, "wrote 3 manifests to some/manifests\n")
    assert names(cafe.folder / "some/manifests") == [f"{id}.yaml" for id in SERVICES]
    cafe.run("manifest", "--output", "one", "--service", "email", "--json")
    assert names(cafe.folder / "one") == ["shop.email.json"]


def test_manifests_written_anew_from_manifests_are_the_same_bytes(cafe: Project) -> None:
    cafe.run("manifest", "--output", "a")
    assert cafe.run("manifest", "a", "--output", "b")[0] == 0
    for name in names(cafe.folder / "a"):
        assert (cafe.folder / "a" / name).read_bytes() == (cafe.folder / "b" / name).read_bytes()


def test_several_services_want_a_folder(cafe: Project) -> None:
    code, out, err = cafe.run("manifest")
    assert (code, out) == (2, "")
    assert (
        err == "farandole: shop has 3 services. Choose one with --service (orders, payments, email), or a folder with --output\n"
    )


def test_a_misspelt_service_is_told_with_the_nearest(cafe: Project) -> None:
    assert cafe.run("manifest", "--service", "paymets")[::2] == (
        2,
        "farandole: there is no service 'paymets' in shop. Did you mean payments?\n",
    )


def test_a_manifest_that_cannot_be_read_is_a_finding_in_one_line(cafe: Project) -> None:
    cafe.run("manifest", "--output", "a")
    (cafe.folder / "a" / "x.yaml").write_text("asyncapi: 9\n")
    code, out, err = cafe.run("manifest", "a", "--output", "b")
    assert (code, out) == (1, "")
    assert err == (
        "a/x.yaml:1#/asyncapi: manifest-version: AsyncAPI 9 is not understood. Write version 3.1.0; 2 and 3 are read\n"
    )
    assert not (cafe.folder / "b").exists()
    assert cafe.run("codegen", "a")[0] == 1


def test_a_service_cannot_name_a_file_outside_of_the_folder(cafe: Project) -> None:
    (cafe.folder / "a").mkdir()
    (cafe.folder / "a" / "x.yaml").write_text(
        "asyncapi: 3.1.0\ninfo: {title: x, version: '1', x-farandole-service: {id: ../../evil/x}}\n"
    )
    assert cafe.run("manifest", "a", "--output", "b")[0] == 0
    assert names(cafe.folder / "b") == ["..-..-evil-x.yaml"]


def test_two_services_never_share_a_file(cafe: Project) -> None:
    (cafe.folder / "a").mkdir()
    for index, id in enumerate(("x y", "x-y")):
        text = f"asyncapi: 3.1.0\ninfo: {{title: x, version: '1', x-farandole-service: {{id: {id}}}}}\n"
        (cafe.folder / "a" / f"{index}.yaml").write_text(text)
    code, _, err = cafe.run("manifest", "a", "--output", "b")
    assert (code, err) == (2, "farandole: two services would be written to x-y.yaml. Write them one by one, with --service\n")


def test_a_folder_that_cannot_be_written_is_named(cafe: Project) -> None:
    (cafe.folder / "file").write_text("")
    code, _, err = cafe.run("manifest", "--output", "file")
    assert (code, err) == (2, "farandole: cannot write to file: File exists\n")
    code, _, err = cafe.run("codegen", cafe.app, "--output", "file/x.py")
    assert (code, err) == (2, "farandole: cannot write file/x.py: Not a directory\n")


# --- codegen


def test_reader_classes_from_a_manifest_are_written_again_by_their_first_line(cafe: Project) -> None:
    cafe.run("manifest", "--output", "manifests")
    command = ["codegen", "manifests/shop.orders.yaml", "--fields", "OrderPlaced.email", "--output", "readers.py"]
    assert cafe.run(*command) == (0, "", "")
    text = (cafe.folder / "readers.py").read_text()
    assert text.startswith("# Written by: farandole codegen manifests/shop.orders.yaml --fields OrderPlaced.email")
    assert 'class OrderPlaced(Event, of="shop.orders", version="1.0", key="order_id"):' in text
    assert "    email: Annotated[str, Sensitive]\n" in text
    assert "OrderConfirmed" not in text
    cafe.run(*command)
    assert (cafe.folder / "readers.py").read_text() == text


def test_reader_classes_go_to_the_standard_output(cafe: Project) -> None:
    code, out, _ = cafe.run("codegen", cafe.app)
    assert code == 0
    assert re.findall(r"^class (\w+)\(Event", out, re.MULTILINE) == ["OrderPlaced", "OrderConfirmed", "PaymentCompleted"]


def test_a_field_that_no_event_has_is_told(cafe: Project) -> None:
    code, _, err = cafe.run("codegen", cafe.app, "--fields", "OrderPlaced.emial")
    assert (code, err) == (2, "farandole: OrderPlaced has no field 'emial'. Did you mean email?\n")


# --- what is charted


def test_a_chart_is_of_a_choreography_or_of_manifests(cafe: Project) -> None:
    cafe.run("manifest", "--output", "manifests")
    for what in (cafe.app, None, "manifests"):
        graph, findings = chart_of(what)
        assert findings == []
        assert sorted(service.id for service in graph.services) == SERVICES
        assert graph.reaction["shop.payments.charge"].place.file == f"{cafe.name}.py"
    assert [service.id for service in chart_of("manifests/shop.email.yaml")[0].services] == ["shop.email"]


@pytest.mark.parametrize("what", ["nowhere", "no/where.yaml", "C:\\x"])
def test_what_is_not_there_is_told(what: str) -> None:
    with pytest.raises(ConfigurationError, match="there is no file or folder"):
        chart_of(what)


def test_nothing_given_and_nothing_configured_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ConfigurationError, match="which choreography"):
        chart_of(None)


def test_a_path_that_looks_like_a_module_is_a_path_where_there_is_one(project: Callable[..., Project]) -> None:
    made = project(CAFE)
    made.run("manifest", "--output", "odd:name")
    assert read_folder("odd:name")[0] == chart_of("odd:name")[0]
