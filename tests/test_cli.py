"""The commands: what they print, their JSON, their exit codes, and one clear line for every
mistake.
"""

import dataclasses
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from scmrl.convert import TARGETS
from scmrl.core import bundle
from scmrl.system.errors import UsageError

NEEDS = {"backend", "samples", "accuracy", "bit_exact", "populations"}
POPULATION = {
    "name",
    "shape",
    "neurons",
    "spikes_per_inference",
    "synops_per_inference",
    "mismatches",
}


def fails(outcome, code, *words):
    got, out, err = outcome
    lines = [line for line in err.strip().splitlines() if line.startswith("error: ")]
    assert got == code and len(lines) == 1, err
    for word in words:
        assert word in lines[0]


def test_deploy_reports_what_the_reference_counts(scmrl, model, small_bundle):
    code, out, _ = scmrl("deploy", model, "--json")
    report = json.loads(out)
    assert (
        code == 0
        and set(report) >= NEEDS
        and report["backend"] == "simulator"
        and report["bit_exact"] is True
    )
    assert report["samples"] == 6
    for row in report["populations"]:
        assert set(row) >= POPULATION
        if row["name"] in small_bundle.trained.spikes:
            assert row["spikes_per_inference"] == small_bundle.trained.spikes[row["name"]].sum() / 6
            assert row["mismatches"] == 0


def test_every_number_on_the_screen_is_in_the_json(scmrl, model):
    _, screen, hints = scmrl("deploy", model, "--samples", 3)
    assert "bit-exact" in screen and "next: scmrl verify" in hints and "--layers" in hints
    assert (
        "audio.conv" not in screen
        and "audio.conv" in scmrl("deploy", model, "--samples", 3, "--layers")[1]
    )
    _, out, _ = scmrl("deploy", model, "--samples", 3, "--json")
    assert json.loads(out)["samples"] == 3


def test_verify_covers_training_and_the_backends(scmrl, model):
    code, out, _ = scmrl("verify", model, "--backends", "simulator", "--json")
    report = json.loads(out)
    assert code == 0 and set(report) >= NEEDS and report["bit_exact"] is True
    assert [b["backend"] for b in report["backends"]] == ["training", "simulator"]


def test_verify_names_the_first_difference(scmrl, small_bundle, tmp_path):
    spikes = dict(small_bundle.trained.spikes)
    changed = spikes["audio.conv"].copy()
    changed[2, 1, 0, 3, 4] ^= 1
    trained = dataclasses.replace(small_bundle.trained, spikes=spikes | {"audio.conv": changed})
    dataclasses.replace(small_bundle, trained=trained).save(tmp_path / "b")
    code, out, err = scmrl("verify", tmp_path / "b", "--backends", "simulator")
    assert code == 1 and "audio.conv: sample 2, step 1, neuron [0, 3, 4]" in err
    assert "Traceback" not in err


def test_energy_has_its_parts_for_each_profile(scmrl, model):
    code, out, _ = scmrl("energy", model, "--profile", "loihi1,loihi2", "--json")
    report = json.loads(out)
    assert code == 0 and set(report["profiles"]) == {"loihi1", "loihi2"}
    for estimate in report["profiles"].values():
        assert {
            "core_dynamic_uj",
            "core_static_uj",
            "host_uj",
            "total_uj",
            "latency_us",
            "basis",
        } <= set(estimate)
        assert "estimate" in estimate["basis"].lower()
    assert "Loihi 1" in report["profiles"]["loihi2"]["basis"]


def test_energy_of_every_chip(scmrl, model):
    code, out, err = scmrl("energy", model, "--profile", "all", "--samples", 2, "--json")
    found = json.loads(out)["profiles"]
    assert code == 0 and {"loihi1", "loihi2", "truenorth", "odin", "generic-45nm", "speck"} <= set(
        found
    ), err
    assert "cpu-measured" not in found and found["speck"]["core_dynamic_uj"] is None
    alone = found["loihi2"]
    assert alone["cores"] > 0 and alone["mode"] == "alone"
    code, out, err = scmrl(
        "energy", model, "--profile", "loihi2", "--mode", "streamed", "--samples", 2, "--json"
    )
    streamed = json.loads(out)["profiles"]["loihi2"]
    assert code == 0 and streamed["samples_per_s"] >= alone["samples_per_s"], err


def test_any_data_can_be_run(scmrl, model, small_bundle, tmp_path):
    np.savez(
        tmp_path / "mine.npz",
        **{n: x[:4] for n, x in small_bundle.inputs.items()},
        y=np.zeros(4, int),
    )
    code, out, _ = scmrl("deploy", model, "--input", tmp_path / "mine.npz", "--json")
    assert code == 0 and json.loads(out)["samples"] == 4 and json.loads(out)["accuracy"] is not None
    np.savez(tmp_path / "mine.npz", **{n: x[:4] for n, x in small_bundle.inputs.items()})
    for command in (["deploy"], ["verify", "--backends", "simulator"], ["energy"]):
        code, out, err = scmrl(
            command[0], model, *command[1:], "--input", tmp_path / "mine.npz", "--json"
        )
        assert code == 0 and json.loads(out)["accuracy"] is None, err


def test_pictures_are_written(scmrl, model, tmp_path):
    pytest.importorskip("matplotlib")
    code, _, err = scmrl("deploy", model, "--picture", tmp_path / "p.png")
    assert code == 0 and (tmp_path / "p.png").read_bytes()[:4] == b"\x89PNG", err


def test_profiles_and_doctor(scmrl):
    code, out, _ = scmrl("profiles", "--json")
    assert code == 0 and {"loihi1", "loihi2"} <= set(json.loads(out)["profiles"])
    code, out, _ = scmrl("profiles", "loihi1")
    assert code == 0 and "23.6" in out and "Davies" in out
    code, out, _ = scmrl("doctor", "--json")
    names = {c["name"] for c in json.loads(out)["components"]}
    assert code == 0 and {"numpy", "torch", "lava-nc", "norse"} <= names


def test_export_goes_beside_the_model_and_is_verified(scmrl, model):
    pytest.importorskip("lava", reason="Lava is not installed")
    code, out, err = scmrl("export", model, "--target", "lava", "--json")
    assert code == 0, err
    (row,) = json.loads(out)["targets"]
    assert bundle.load(model / "lava").samples == row["samples"] == 6
    assert (
        row["bit_exact"] is True
        and row["exported_vs_original"] == 1.0
        and row["bytes"] > 0
        and row["seconds"] > 0
    )


def test_export_to_all_targets_is_one_report(scmrl, model):
    pytest.importorskip("lava"), pytest.importorskip("onnxruntime"), pytest.importorskip("nir")
    code, out, err = scmrl("export", model, "--target", "all", "--json")
    assert code == 0, err
    rows = {row["target"]: row for row in json.loads(out)["targets"]}
    assert set(rows) == set(TARGETS)
    for target in ("lava", "onnx", "nir"):
        assert rows[target]["written"] and (model / target / target).is_dir(), rows[target]["why"]
    assert rows["onnx"]["bit_exact"] is True
    code, out, _ = scmrl("export", model, "--target", "onnx", "--no-verify", "--force")
    assert code == 0 and "--no-verify" in out


def test_what_was_exported_to_nir_comes_back_in(scmrl, model, tmp_path):
    pytest.importorskip("nir"), pytest.importorskip("h5py")
    code, _, err = scmrl("export", model, "--target", "nir", "--no-verify")
    assert code == 0, err
    file = model / "nir" / "nir" / "model.nir"
    code, out, err = scmrl("import", file, "--steps", 3, "--out", tmp_path / "in", "--json")
    assert code == 0 and json.loads(out)["command"] == "import", err
    code, out, err = scmrl("verify", tmp_path / "in", "--backends", "simulator", "--json")
    assert code == 0 and json.loads(out)["bit_exact"] is True, err
    (tmp_path / "bad.nir").write_bytes(b"\x89HDF\r\n nothing")
    fails(scmrl("import", tmp_path / "bad.nir", "--out", tmp_path / "no"), 4, "bad.nir")
    assert not (tmp_path / "no").exists()


def test_float_simulators_are_compared_and_not_held_to_it(scmrl, model):
    pytest.importorskip("norse"), pytest.importorskip("nirtorch")
    code, out, err = scmrl("verify", model, "--backends", "simulator,norse", "--json")
    report = json.loads(out)
    assert code == 0 and report["bit_exact"] is True, err
    assert [b["exact"] for b in report["backends"]] == [True, True, False]


def test_bad_input_is_one_line_and_its_code(scmrl, model, tmp_path, small_bundle):
    fails(scmrl("deploy", tmp_path / "nowhere"), 4, "no such file", "nowhere")
    fails(scmrl("deploy", model, "--backend", "lawa"), 2, "did you mean 'lava'")
    fails(scmrl("deploy", model, "--samples", 99), 2, "limit 6", "got 99")
    fails(scmrl("deploy", model, "--samples", 0), 2)
    fails(scmrl("deply", model), 2, "did you mean 'deploy'")
    fails(scmrl("deploy", model, "--bakcend", "lava"), 2, "--bakcend")
    fails(scmrl("export", model, "--target", "lvaa"), 2, "lava")
    fails(scmrl("energy", model, "--profile", "loihi3"), 2, "loihi")
    fails(scmrl("evaluate", model, "--dataset", "av-mnist"), 3, "data")
    fails(scmrl("train", "--out", tmp_path / "t", "--dataset", "digits"), 2, "digits-av")
    fails(
        scmrl("train", "--out", tmp_path / "t", "--set", "model.alhpa=1"), 2, "did you mean 'alpha'"
    )
    fails(
        scmrl("train", "--out", tmp_path / "t", "--config", tmp_path / "none.toml"), 2, "none.toml"
    )
    fails(scmrl("train", "--out", tmp_path / "t", "--profile", "loihi9"), 2, "loihi")
    assert not (tmp_path / "t").exists()


def test_bad_samples_are_named(scmrl, model, tmp_path, small_bundle):
    file = tmp_path / "mine.npz"
    inputs = small_bundle.inputs
    np.savez(file, audio=inputs["audio"])
    fails(scmrl("deploy", model, "--input", file), 3, "visual", "missing")
    np.savez(file, audio=inputs["audio"][..., :4], visual=inputs["visual"])
    fails(scmrl("deploy", model, "--input", file), 3, "audio", "wrong shape", "[6, 3, 1, 8, 4]")
    np.savez(file, audio=inputs["audio"] + 200, visual=inputs["visual"])
    fails(scmrl("deploy", model, "--input", file), 3, "out of range", "0..63")
    np.savez(file, audio=inputs["audio"].astype(float), visual=inputs["visual"])
    fails(scmrl("deploy", model, "--input", file), 3, "integers")
    np.savez(file, **inputs, y=np.zeros(2, int))
    fails(scmrl("deploy", model, "--input", file), 3, "labels")
    np.savez(file, **inputs, extra=np.zeros(2, int))
    fails(scmrl("deploy", model, "--input", file), 3, "extra")
    file.write_bytes(b"not an archive")
    fails(scmrl("deploy", model, "--input", file), 3, "mine.npz")


def test_silenced_populations_are_cut_off(small_bundle):
    cut = small_bundle.graph.silenced("visual.*")
    assert all(not s.source.startswith("visual.") for s in cut.synapses)
    assert len(cut.populations) == len(small_bundle.graph.populations)
    with pytest.raises(UsageError, match="no population matches.*did you mean"):
        small_bundle.graph.silenced("visual.convv")


def test_a_run_is_not_replaced_by_accident(scmrl, model):
    fails(scmrl("train", "--out", model), 2, "no run of scmrl", "another --out")
    (model / "config.toml").write_text("")
    fails(scmrl("train", "--out", model), 2, "a run is there already", "--force")
    fails(scmrl("demo", "--out", model), 2, "--force")


def test_corrupt_bundle_is_one_line(scmrl, model):
    path = model / "bundle" / "tensors.npz"
    path.write_bytes(path.read_bytes()[:-20])
    fails(scmrl("verify", model), 4, "tensors.npz", "corrupt")


def test_reader_that_goes_away_is_no_error(model):
    done = subprocess.run(
        f"{sys.executable} -m scmrl deploy {model} | head -1",
        shell=True,
        capture_output=True,
        text=True,
    )
    assert "Traceback" not in done.stderr and "BrokenPipe" not in done.stderr


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="no /dev/full")
def test_full_device_is_one_line(model):
    done = subprocess.run(
        f"{sys.executable} -m scmrl deploy {model} --json > /dev/full",
        shell=True,
        capture_output=True,
        text=True,
    )
    assert (
        done.returncode == 1 and "No space left" in done.stderr and "Traceback" not in done.stderr
    )


def group(leader: int) -> set[int]:
    """The living processes of a process group, from /proc."""
    members = set()
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            state, _, pgrp = stat.read_text().rpartition(")")[2].split()[:3]
        except OSError:  # it ended meanwhile
            continue
        if int(pgrp) == leader and state != "Z":
            members.add(int(stat.parent.name))
    return members


def within(seconds: float, condition) -> bool:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if condition():
            return True
        time.sleep(0.1)
    return False


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="no /proc")
@pytest.mark.parametrize("how, code", [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_stopped_lava_run_leaves_nothing_behind(model, small_bundle, tmp_path, how, code):
    pytest.importorskip("lava", reason="Lava is not installed")
    np.savez(
        tmp_path / "many.npz", **{n: np.repeat(x, 2000, 0) for n, x in small_bundle.inputs.items()}
    )
    command = [
        sys.executable,
        "-m",
        "scmrl",
        "deploy",
        str(model),
        "--backend",
        "lava",
        "--no-compare",
        "--input",
        str(tmp_path / "many.npz"),
    ]
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True
    )
    assert within(200, lambda: process.poll() is not None or len(group(process.pid)) > 4), (
        "Lava did not start"
    )
    time.sleep(0.5)
    process.send_signal(how)
    out, err = process.communicate(timeout=60)
    assert process.returncode == code and out == ""
    assert "Traceback" not in err
    assert within(10, lambda: not group(process.pid))
