"""One definition of every option: presets, YAML, flat names, and errors that name what is accepted."""

from __future__ import annotations

from dataclasses import FrozenInstanceError
from pathlib import Path

import pytest

from neural_seg_ros.config import PRESETS, FieldConfig, SessionConfig
from neural_seg_ros.errors import ConfigError
from neural_seg_ros.options import from_flat, options_of, parse, to_flat


@pytest.mark.parametrize("name", sorted(PRESETS))
def test_presets_survive_a_round_trip(name: str) -> None:
    preset = SessionConfig.preset(name)
    assert SessionConfig.from_dict(preset.to_dict()) == preset


def test_the_thesis_preset_is_the_thesis() -> None:
    thesis = SessionConfig.preset("thesis")
    field = thesis.field
    assert thesis.answer == "field"
    assert (field.code, field.width, field.levels, field.skips, field.norm) == ("xy", 128, 4, False, "batch")
    assert (field.class_loss, field.class_weight, field.consistency) == ("bce", 1.0, 0.001)


def test_every_option_describes_itself() -> None:
    for option in options_of(SessionConfig):
        assert option.description
        assert option.check(option.default) == option.default
        assert option.name in to_flat(SessionConfig())


def test_yaml_takes_nested_and_dotted_names(tmp_path: Path) -> None:
    path = tmp_path / "session.yaml"
    path.write_text("preset: gpu\nseed: 7\nfield: {width: 32}\nfit.click_steps: 5\n")
    config = SessionConfig.from_yaml(path)
    assert (config.seed, config.field.width, config.field.size, config.fit.click_steps) == (7, 32, 256, 5)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("field: {width: 3}", r"width: got 3, accepted: int in \[8, 512\]"),
        ("field: {colour: 3}", "colour: unknown option"),
        ("preset: huge", "preset: got 'huge', accepted: cpu | gpu | thesis"),
        ("answer: both", "answer: got 'both', accepted: fused | field"),
        ("label_bits: 12", "label_bits: got 12"),
        ("field.learning_rate: fast", "learning_rate: got 'fast'"),
        ("field.learning_rate: .nan", "learning_rate"),
        ("field: {skips: 1}", "skips: got 1, accepted: true | false"),
        ("field: {size: 8}", "size: got 8, accepted: at least 17"),
        ("field: {extra_heads: 'rgb:3'}", "extra_heads: got 'rgb:3'"),
        ("seed: 2024-13-45", "cannot be read as YAML"),
        ("name: x", "name: unknown option"),
        ("[1, 2]", "a mapping of options"),
        ("a: [", "cannot be read as YAML"),
    ],
)
def test_a_mistake_in_yaml_is_one_clear_error(tmp_path: Path, text: str, words: str) -> None:
    path = tmp_path / "session.yaml"
    path.write_text(text)
    with pytest.raises(ConfigError, match=words):
        SessionConfig.from_yaml(path)


def test_configurations_are_frozen() -> None:
    with pytest.raises(FrozenInstanceError):
        SessionConfig().seed = 1  # type: ignore[misc]


def test_changes_make_a_copy() -> None:
    base = SessionConfig()
    changed = from_flat(base, {"field.width": 16, "seed": 3})
    assert (changed.field.width, changed.seed) == (16, 3)
    assert base == SessionConfig()
    assert changed.field == FieldConfig(width=16)


def test_options_are_read_from_text() -> None:
    options = {option.name: option for option in options_of(SessionConfig)}
    assert parse(options["field.skips"], "False") is False
    assert parse(options["field.width"], "16") == 16
    assert parse(options["field.consistency"], "1e-3") == 0.001
    for name, text in {"field.width": "many", "field.skips": "perhaps", "answer": "x"}.items():
        with pytest.raises(ConfigError, match=name):
            parse(options[name], text)
