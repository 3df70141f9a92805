"""farandole docs: a catalog in a folder."""

from __future__ import annotations

from tests.cli.kit import Project


def test_the_catalog_is_written_and_its_first_page_is_named(cafe: Project) -> None:
    code, out, err = cafe.run("docs", "--output", "site")
    assert (code, err) == (0, "")
    many = sum(path.is_file() for path in (cafe.folder / "site").rglob("*")) - 1  # the list of them is not counted
    assert out == f"{many} files. Open site/index.html\n"
    assert "OrderPlaced" in (cafe.folder / "site" / "events.html").read_text(encoding="utf-8")


def test_places_are_told_as_seen_from_here(cafe: Project) -> None:
    cafe.run("docs", "--output", "site")
    page = (cafe.folder / "site" / "event" / "shop.OrderPlaced.html").read_text(encoding="utf-8")
    assert f"<code>{cafe.name}.py:" in page
    assert str(cafe.folder) not in page


def test_it_is_written_again_over_what_it_wrote(cafe: Project) -> None:
    cafe.run("docs", "--output", "site")
    assert cafe.run("docs", "--output", "site")[0] == 0


def test_a_folder_of_somebody_else_is_left_alone(cafe: Project) -> None:
    code, _, err = cafe.run("docs", "--output", ".")
    assert code == 2
    assert err == (
        "farandole: --output: . holds something that farandole docs did not write, and is left alone. "
        "Name a folder that is new or empty, or one that farandole docs made\n"
    )


def test_the_folder_must_be_named(cafe: Project) -> None:
    code, _, err = cafe.run("docs")
    assert code == 2
    assert "--output" in err
