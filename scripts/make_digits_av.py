"""Regenerate the spoken half of digits-av: English digits by eSpeak NG in many voices, 8 kHz mono
8-bit FLAC.

    python scripts/make_digits_av.py [FOLDER]

writes `digits_av_train.flac`, `digits_av_test.flac` (all clips of a split, one after the other) and
`digits_av.json` (label, voice, pitch, speed, start and stop of every clip) into FOLDER, by default
the package's own assets. The same eSpeak NG gives the same clips. Needs espeak-ng, librosa and
soundfile.

A voice is an accent and a variant ("en-us+m1"). No variant, nor any relative of one (klatt, klatt2,
...), speaks in both splits, so a test clip always comes from a throat that training never heard.
Left out: whispers, croaks, robots and the few variants that a linear probe trained on all others
misses too often.
"""

from __future__ import annotations

import argparse
import io
import json
import subprocess
import wave
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import librosa
import numpy as np
import soundfile

SEED = 20250218
SAMPLE_RATE = 8000
WORDS = ["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine"]
ACCENTS = [
    "en-us",
    "en-us-nyc",
    "en-gb",
    "en-gb-scotland",
    "en-gb-x-rp",
    "en-gb-x-gbclan",
    "en-gb-x-gbcwmd",
    "en-029",
]
VARIANTS = {
    "train": [
        "m1",
        "m2",
        "m4",
        "m5",
        "m7",
        "m8",
        "f1",
        "f3",
        "f5",
        "Alex",
        "Annie",
        "Denis",
        "Diogo",
        "Gene",
        "Henrique",
        "Hugo",
        "Jacky",
        "Mario",
        "Nguyen",
        "Storm",
        "Tweaky",
        "adam",
        "announcer",
        "aunty",
        "benjamin",
        "boris",
        "caleb",
        "ed",
        "edward",
        "edward2",
        "grandma",
        "grandpa",
        "iven",
        "iven3",
        "klatt",
        "klatt2",
        "klatt3",
        "klatt4",
        "linda",
        "max",
        "michel",
        "miguel",
        "norbert",
        "pablo",
        "paul",
        "pedro",
        "rob",
        "robert",
        "sandro",
        "steph",
    ],
    "test": [
        "m3",
        "m6",
        "f2",
        "f4",
        "Andy",
        "Michael",
        "Mike",
        "belinda",
        "gustave",
        "john",
        "quincy",
        "victor",
    ],
}
PER_DIGIT = {"train": 150, "test": 36}  # at least as many as the split has images of any digit
PITCH = (15, 85)  # eSpeak's scale 0..99, 50 is the voice's own
SPEED = (115, 210)  # words per minute
SILENCE_DB = 40.0  # what lies this far below a clip's loudest moment is trimmed
SHORTEST, FAINTEST = 0.12, 0.01  # seconds, RMS: a clip below either is silent or broken


def casting(split: str) -> list[dict]:
    """Who says what: one row {label, voice, pitch, speed} per clip, all different, variants taken
    in turn.
    """
    rng = np.random.default_rng([SEED, *split.encode()])
    rows = []
    for label in range(len(WORDS)):
        turn = rng.permutation(VARIANTS[split])
        seen = set()
        while len(seen) < PER_DIGIT[split]:
            voice = f"{rng.choice(ACCENTS)}+{turn[len(seen) % len(turn)]}"
            pitch, speed = int(rng.integers(*PITCH)), int(rng.integers(*SPEED))
            if (voice, pitch, speed) not in seen:
                seen.add((voice, pitch, speed))
                rows.append({"label": label, "voice": voice, "pitch": pitch, "speed": speed})
    return rows


def speak(row: dict) -> np.ndarray:
    """One clip as int8 at 8 kHz: synthesised, resampled, trimmed, its peak at 120 of 127."""
    command = [
        "espeak-ng",
        "-v",
        row["voice"],
        "-p",
        str(row["pitch"]),
        "-s",
        str(row["speed"]),
        "--stdout",
        WORDS[row["label"]],
    ]
    spoken = subprocess.run(command, capture_output=True, check=True).stdout
    with wave.open(io.BytesIO(spoken)) as reader:
        rate = reader.getframerate()
        pcm = np.frombuffer(reader.readframes(reader.getnframes()), "<i2") / 32768
    clip = librosa.resample(pcm, orig_sr=rate, target_sr=SAMPLE_RATE)
    clip, _ = librosa.effects.trim(clip, top_db=SILENCE_DB, frame_length=256, hop_length=32)
    if len(clip) < SHORTEST * SAMPLE_RATE or np.sqrt(np.mean(clip**2)) < FAINTEST:
        raise SystemExit(f"{' '.join(command)}: silent or broken; take this variant off the list")
    return np.round(clip * (120 / np.abs(clip).max())).astype(np.int8)


def synthesiser() -> str:
    """The version of eSpeak NG that speaks, as it names itself."""
    line = subprocess.run(
        ["espeak-ng", "--version"], capture_output=True, text=True, check=True
    ).stdout
    return line.split("  ")[0].strip()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    default = Path(__file__).resolve().parents[1] / "scmrl" / "data" / "sets" / "assets"
    parser.add_argument("folder", nargs="?", type=Path, default=default)
    folder = parser.parse_args().folder
    lines = []
    for split in VARIANTS:
        rows = casting(split)
        with ThreadPoolExecutor() as pool:
            clips = list(pool.map(speak, rows))
        stops = np.cumsum([len(clip) for clip in clips])
        for row, clip, stop in zip(rows, clips, stops):
            row.update(start=int(stop) - len(clip), stop=int(stop))
        samples = np.concatenate(clips).astype(np.int16) << 8
        soundfile.write(
            folder / f"digits_av_{split}.flac",
            samples,
            SAMPLE_RATE,
            subtype="PCM_S8",
            compression_level=1.0,
        )
        lines.append(f'"{split}": [\n' + ",\n".join(json.dumps(row) for row in rows) + "\n]")
        print(
            f"{split}: {len(rows)} clips, {len(VARIANTS[split])} variants,"
            f" {stops[-1] / SAMPLE_RATE:.0f} s"
        )
    header = f'"synthesiser": {json.dumps(synthesiser())},\n"sample_rate": {SAMPLE_RATE},\n'
    (folder / "digits_av.json").write_text("{\n" + header + ",\n".join(lines) + "\n}\n")


if __name__ == "__main__":
    main()
