"""A student of few steps: what it is taught, that it learns it, and what is left of its teacher
afterwards.
"""

from dataclasses import replace

import numpy as np
import pytest
import torch
from conftest_models import CONFIGS, GRID, SPEC, make_context, make_contexts, make_model

from world_models.bundles.bundle import load_bundle, save_bundle
from world_models.diffusion.objectives import DDPM, EDM, FlowMatching
from world_models.diffusion.samplers import Euler, ddim
from world_models.models.chance_variables import ChanceSettings
from world_models.models.diffusion import DiffusionConfig, DiffusionModel
from world_models.models.distilled import DistilledConfig, landing, shared_levels
from world_models.models.table import build_model
from world_models.noise import NoiseStream
from world_models.protocols import AugmentationOptions, Clips
from world_models.training import run as training
from world_models.training.config import TrainConfig
from world_models.training.presets.table import PRESETS

PLAIN = DiffusionConfig(network=GRID, sampler=Euler(4), context_length=2)
TEACHERS = {
    "edm": PLAIN,
    "guided": replace(PLAIN, guidance=1.5),
    "flow with chance": replace(
        PLAIN, objective=FlowMatching(prediction="frame"), chance=ChanceSettings()
    ),
}


def teacher_at(path, config=PLAIN, spec=SPEC):
    torch.manual_seed(1)
    model = build_model(spec, config).eval()
    for parameter in model.parameters():
        parameter.data += 0.05 * torch.randn_like(parameter)
    save_bundle(path, model, make_contexts(make_model("diffusion")), {}, {})
    return str(path)


def clips(count=4):
    generator = torch.Generator().manual_seed(0)
    frames = torch.randint(
        0, 256, (count, 3, *SPEC.frame_shape), generator=generator, dtype=torch.uint8
    )
    one = torch.ones(count, 1)
    return Clips(frames, one.long(), one.long(), one < 0, one > 0, one[:, 0])


@pytest.mark.parametrize("name", TEACHERS)
def test_a_teacher_of_one_step_has_nothing_to_teach_its_own_copy(tmp_path, name):
    teacher = teacher_at(tmp_path, replace(TEACHERS[name], sampler=Euler(1), guidance=1.0))
    student = build_model(SPEC, DistilledConfig(teacher)).eval()
    losses = student.clip_losses(
        clips(), AugmentationOptions(), 1, torch.Generator().manual_seed(0)
    )
    assert losses["frame"] < 1e-10 and losses["reward"] > 0


@pytest.mark.parametrize("name", TEACHERS)
def test_lessons_lower_the_distance_to_the_frames_that_the_teacher_dreams(tmp_path, name):
    student = build_model(SPEC, DistilledConfig(teacher_at(tmp_path, TEACHERS[name])))
    optimizer, generator = (
        torch.optim.Adam(student.parameters(), 3e-3),
        torch.Generator().manual_seed(0),
    )

    def apart():
        lane = torch.arange(8)
        state = student.init(make_context(student, 8, seed=3))
        with torch.no_grad():
            frames = [
                m.eval().step(state, lane % 2, NoiseStream.from_seeds(lane)).frame.float()
                for m in (student, student.teacher)
            ]
        return float((frames[0] - frames[1]).square().mean())

    before = apart()
    for _ in range(60):
        optimizer.zero_grad()
        sum(
            student.train().clip_losses(clips(8), AugmentationOptions(), 1, generator).values()
        ).backward()
        optimizer.step()
    assert apart() < 0.8 * before


def test_the_teacher_stays_as_it_is_and_no_part_of_what_is_trained_or_saved(tmp_path):
    path = teacher_at(tmp_path)
    student = build_model(SPEC, DistilledConfig(path))
    names = set(load_bundle(path).model.state_dict())
    assert set(student.state_dict()) == names and len(list(student.parameters())) == len(names)
    student.clip_losses(clips(), AugmentationOptions(), 1, torch.Generator().manual_seed(0))[
        "frame"
    ].backward()
    assert all(p.grad is None for p in student.teacher.parameters())
    assert (
        student.default_options.steps == 1
        and student.teacher.default_options.steps == 4
        and not student.teacher.training
    )


def test_training_writes_a_bundle_that_dreams_without_its_teacher(dataset_path, tmp_path):
    from collectors.dataset.dataset import Dataset
    from world_models.training.clips import read_spec

    spec = read_spec(Dataset(dataset_path))
    teacher = tmp_path / "teacher"
    save_bundle(teacher, DiffusionModel(spec, PLAIN), _contexts(spec), {}, {})
    config = TrainConfig(
        model=DistilledConfig(str(teacher), steps=2),
        data=dataset_path,
        out=tmp_path / "run",
        updates=2,
        batch_size=4,
        validate_every=2,
        validation_batches=1,
        contexts=4,
        rollout_steps=1,
        device="cpu",
    )
    bundle = load_bundle(training.train(config))
    assert bundle.config["kind"] == "diffusion" and type(bundle.model) is DiffusionModel
    assert bundle.model.default_options.steps == 2


def _contexts(spec):
    from world_models.bundles.contexts import Contexts

    return Contexts(np.zeros((3, 2, *spec.frame_shape), np.uint8), np.zeros((3, 1), np.int64))


@pytest.mark.parametrize("path", [EDM(), FlowMatching(), DDPM()])
def test_a_landing_is_where_one_step_would_land(path):
    x, ahead = torch.randn(2, 3, 3, 4, 4, generator=torch.Generator().manual_seed(0))
    levels = path.levels(4)
    now, after = levels[1].expand(3), levels[3].expand(3)
    clean = landing(path, x, ahead, now, after)
    assert torch.allclose(ddim(path, x, clean, levels[1], levels[3]), ahead, atol=1e-4)


def test_a_students_levels_are_some_of_the_teachers():
    for path in (EDM(), FlowMatching(shift=3.0)):
        theirs, marks = shared_levels(path, 4, 1)
        assert torch.equal(theirs[marks], path.levels(1)) and marks.tolist() == [0, 4]
        assert torch.allclose(
            path.levels(4)[shared_levels(path, 4, 2)[1]], path.levels(2), atol=1e-4
        )
    with pytest.raises(ValueError, match="do not fall on the levels of a teacher of 4"):
        shared_levels(EDM(), 4, 3)
    with pytest.raises(ValueError, match="model.steps is 1 to 4"):
        shared_levels(EDM(), 4, 5)


@pytest.mark.parametrize(
    ("config", "message"),
    [
        (CONFIGS["chance"], "of kind chance, but a teacher is of kind diffusion"),
        (CONFIGS["ddpm"], "only Euler's walk"),
        (CONFIGS["regression"], "of kind diffusion"),
    ],
)
def test_who_cannot_teach_is_refused(tmp_path, config, message):
    with pytest.raises(ValueError, match=message):
        build_model(SPEC, DistilledConfig(teacher_at(tmp_path, config)))


def test_a_teacher_of_another_game_is_refused(tmp_path):
    other = replace(SPEC, action_names=("left", "right", "jump"))
    with pytest.raises(ValueError, match="its action_names is .*jump"):
        build_model(SPEC, DistilledConfig(teacher_at(tmp_path, spec=other)))


def test_the_teacher_of_snakes_student_is_what_its_preset_trains():
    teacher = PRESETS["snake-edm"]()
    config = PRESETS["snake-edm-distilled"]().model
    assert config.teacher == f"{teacher.out}/bundle" and teacher.model.sampler.steps > config.steps


def test_the_presets_teacher_is_released_and_takes_more_steps():
    from neural_envs import bundles

    config = PRESETS["worldmap-distilled"]().model
    assert bundles.load(config.teacher).model.default_options.steps > config.steps == 1
