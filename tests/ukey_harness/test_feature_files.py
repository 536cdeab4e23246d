"""The feature files themselves: whole, in Chinese, every step defined."""

import re
from collections import Counter
from pathlib import Path

import pytest
from pytest_bdd.parser import Feature, FeatureParser, Scenario

from ukey_harness.device.capability import TAGS
from ukey_harness.features_folder import features_folder
from ukey_harness.steps.binding import load_definitions
from ukey_harness.steps.grammar import DEFINITIONS, find

FILES = sorted(features_folder().glob("*/*.feature"))
REQUIREMENT = re.compile(r"(S-[A-G]\d|K-\d)")


def parsed(file: Path) -> Feature:
    return FeatureParser(str(file.parent), file.name).parse()


def rendered(feature: Feature) -> list[Scenario]:
    return [
        template.render(context)
        for template in feature.scenarios.values()
        for context in [
            context for examples in template.examples for context in examples.as_contexts()
        ]
        or [{}]
    ]


@pytest.mark.parametrize("file", FILES, ids=lambda file: f"{file.parent.name}/{file.stem}")
class TestFeatureFile:
    def test_it_is_chinese(self, file: Path) -> None:
        feature = parsed(file)
        assert feature.language == "zh-CN"
        assert feature.name
        assert feature.description

    def test_no_scenario_hides_another_of_the_same_name(self, file: Path) -> None:
        # pytest-bdd keeps the last one of a name and says nothing.
        titles = re.findall(r"^\s*场景(?:大纲)?:\s*(.+)$", file.read_text(), re.MULTILINE)
        assert [name for name, count in Counter(titles).items() if count > 1] == []
        assert len(parsed(file).scenarios) == len(titles)

    def test_every_step_has_exactly_one_definition(self, file: Path) -> None:
        load_definitions()
        for scenario in rendered(parsed(file)):
            for step in scenario.steps:
                matching = [
                    each
                    for each in DEFINITIONS
                    if each.kind == step.type and each.parser.is_matching(step.name)
                ]
                assert len(matching) == 1, f"{file.name}:{step.line_number} {step}"

    def test_tags_are_requirements_or_needs(self, file: Path) -> None:
        feature = parsed(file)
        for scenario in feature.scenarios.values():
            for tag in scenario.tags | feature.tags:
                assert tag in TAGS or REQUIREMENT.fullmatch(tag), tag


def test_the_verbs_are_all_there() -> None:
    assert {file.parent.name for file in FILES} >= {
        "login",
        "binding",
        "sealing",
        "renewal",
        "pin",
        "story",
    }


def test_the_requirements_of_the_story_are_shown_by_scenarios() -> None:
    shown = {
        tag
        for file in FILES
        for scenario in parsed(file).scenarios.values()
        for tag in scenario.tags | parsed(file).tags
    }
    wanted = {"S-B1", "S-B2", "S-B3", "S-B4", "S-B5", "S-C1", "S-C2", "S-C3", "S-C4", "S-C5"}
    assert wanted | {"S-E1", "S-G1", "K-2", "K-3"} <= shown


def test_no_definition_is_left_over() -> None:
    load_definitions()
    used = set()
    for file in FILES:
        for scenario in rendered(parsed(file)):
            used |= {id(find(step.type, step.name)) for step in scenario.steps}
    left = [each.parser.name for each in DEFINITIONS if id(each) not in used]
    assert left == []


def test_no_pin_stands_in_a_feature_file() -> None:
    for file in FILES:
        assert not re.search(r"\d{6,}", file.read_text()), file
