"""crema-d: acted emotions, a spoken sentence and one frame of its video (Cao et al. 2014).

    data_dir/processed_dataset/{train,test}/{audio,visual}/{ANG,DIS,FEA,HAP,NEU,SAD}/ID.{wav,jpg}

audio is a spectrogram [1, 128, 128], visual an RGB frame [3, 128, 128] (see `encoders`). `crema-d`
is the published split of 6,698 and 744 clips; all 91 actors are in both parts of it.
`crema-d-speakers` pools them and gives every tenth actor (in the order of their numbers) to the
test set, so that no one who is tested was heard in training. Source: 10.1109/TAFFC.2014.2336244.
"""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np

from ..features.pairs import SPLITS, Pairs, stream
from .folders import counted, encoded, files, partnered, refuse, root_of

NAME, BY_SPEAKER = "crema-d", "crema-d-speakers"
CLASSES = ("ANG", "DIS", "FEA", "HAP", "NEU", "SAD")
PUBLISHED = {"train": (1166, 1142, 1138, 1148, 973, 1131), "test": (105, 129, 133, 123, 114, 140)}
ACTOR = 4  # digits
CLIP = re.compile(rf"\d{{{ACTOR}}}_.+")  # actor_sentence_emotion_level
TEST_EVERY = 10  # of the actors, where the split is by speaker
HOLDS = "processed_dataset/{train,test}/{audio,visual}/{ANG,DIS,FEA,HAP,NEU,SAD}/*.{wav,jpg}"

Clip = tuple[str, int, Path, Path]  # ID, class, sound, picture


def load(split: str, data_dir: str | Path | None, seed: int = 0, steps: int = 0) -> Pairs:
    """The published split. Raises DataError for what is missing, damaged, or too few."""
    stream(seed, split)
    folder, faults = root_of(data_dir, NAME, "processed_dataset", HOLDS), list[str]()
    clips = _clips(folder, split, faults)
    return _pairs(clips, split, NAME, None, folder, faults)


def load_by_speaker(
    split: str, data_dir: str | Path | None, seed: int = 0, steps: int = 0
) -> Pairs:
    """The speaker-independent split, an actor's clips one group. Raises DataError as `load`."""
    stream(seed, split)
    folder, faults = root_of(data_dir, BY_SPEAKER, "processed_dataset", HOLDS), list[str]()
    clips = sorted(clip for part in SPLITS for clip in _clips(folder, part, faults))
    refuse(faults, folder)
    actor = np.array([int(clip[0][:ACTOR]) for clip in clips])
    tested = np.isin(actor, np.unique(actor)[TEST_EVERY - 1 :: TEST_EVERY])
    chosen = np.flatnonzero(tested == (split == "test"))
    return _pairs([clips[i] for i in chosen], split, BY_SPEAKER, actor[chosen], folder, faults)


def _clips(folder: Path, split: str, faults: list[str]) -> list[Clip]:
    """The clips of a part, by class and ID."""
    clips = []
    for label, (emotion, published) in enumerate(zip(CLASSES, PUBLISHED[split])):
        sounds = files(folder / split / "audio" / emotion, ".wav", faults)
        pictures = files(folder / split / "visual" / emotion, ".jpg", faults)
        stems = partnered(sounds, pictures, folder / split / "*" / emotion, faults)
        counted(len(stems), published, f"{split} clips of {emotion}", folder / split, faults)
        odd = [s for s in stems if not CLIP.fullmatch(s)]
        faults += [f"{sounds[s]}: not named ACTOR_SENTENCE_{emotion}_LEVEL" for s in odd]
        clips += [(s, label, sounds[s], pictures[s]) for s in stems]
    return clips


def _pairs(
    clips: list[Clip],
    split: str,
    name: str,
    group: np.ndarray | None,
    folder: Path,
    faults: list[str],
) -> Pairs:
    framed = encoded([clip[2] for clip in clips], [clip[3] for clip in clips], folder, faults)
    return Pairs(
        label=np.array([clip[1] for clip in clips], np.int64),
        row=np.arange(len(clips)),
        split=split,
        name=name,
        classes=len(CLASSES),
        group=np.arange(len(clips)) if group is None else group,
        framed=framed,
    )
