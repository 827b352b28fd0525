"""What `sclvi bench --against` measures of methods that anomalib has, in a Python that has anomalib:

    PYTHON peers.py ASKED.json

prints one line of JSON. This file stands alone, as that Python need not have sclvi. `ASKED.json` holds `kind`
(`learn` or `inspect`), `method`, `size` (height, width), `state` (a file, written by `learn`), and `pictures`;
`inspect` also takes `batch`. Backbones have random weights: nothing is downloaded, and neither speed nor memory
depends on them.
"""

import json
import resource
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from anomalib.models import EfficientAd, Padim, Patchcore
from anomalib.models.components import KCenterGreedy
from PIL import Image
from safetensors.torch import load_file, save_file
from torch import Tensor

_LEARNING_BATCH = 8
_CORESET = 0.1  # of PatchCore's embeddings
_FEW, _MORE = 10, 60  # rounds of its greedy choice that are run to tell how long all take
_MAKERS: Mapping[str, Callable[[], Any]] = {
    "patchcore": lambda: Patchcore("wide_resnet50_2", ["layer2", "layer3"], pre_trained=False),
    "padim": lambda: Padim("resnet18", ["layer1", "layer2", "layer3"], pre_trained=False),
    "efficientad": lambda: EfficientAd(),
}
_NOTES = {
    "patchcore": "wide_resnet50_2, 10 % coreset drawn at random; greedy choice timed by fifty of its rounds",
    "padim": "resnet18",
    "efficientad": "small; not trained: its teacher and its other pictures are downloads",
}


class _Peer:
    """A method with the preparation that comes with it."""

    def __init__(self, method: str, size: tuple[int, int]) -> None:
        torch.manual_seed(0)
        self.module = _MAKERS[method]()
        self._prepare = self.module.configure_pre_processor(size).transform

    def read(self, paths: list[str]) -> Tensor:
        """B x 3 x H x W."""
        pictures = [np.array(Image.open(path).convert("RGB")) for path in paths]
        return torch.stack([self._prepare(torch.from_numpy(one).permute(2, 0, 1).float() / 255) for one in pictures])


def learn(method: str, size: tuple[int, int], state: Path, pictures: list[str]) -> dict[str, float | str | None]:
    """As anomalib's own training does, without its progress and checkpoints; EfficientAD keeps its random weights."""
    peer = _Peer(method, size)
    model, seconds = peer.module.model, None
    if method != "efficientad":
        started = time.perf_counter()
        model.train()
        for start in range(0, len(pictures), _LEARNING_BATCH):
            model(peer.read(pictures[start : start + _LEARNING_BATCH]))
        extra = _draw_coreset(model) if method == "patchcore" else model.fit() or 0.0
        seconds = time.perf_counter() - started + extra
    save_file({name: one.contiguous() for name, one in model.state_dict().items()}, state)
    return {"train_seconds": seconds, "model_mib": state.stat().st_size / 2**20, "note": _NOTES[method]}


def _draw_coreset(model: Any) -> float:  # noqa: ANN401  # anomalib's PatchcoreModel
    """Keep a random share of the embeddings; the seconds that the greedy choice of as many would have taken more.

    Its rounds are alike, and there are thousands: some are run. What is found does not depend on speed.
    """
    started = time.perf_counter()
    embeddings = torch.vstack(model.embedding_store)
    model.embedding_store.clear()
    count = int(_CORESET * len(embeddings))
    seconds = []
    for rounds in (_FEW, _MORE):
        before = time.perf_counter()
        KCenterGreedy(embeddings, (rounds + 0.5) / len(embeddings)).select_coreset_idxs()
        seconds.append(time.perf_counter() - before)
    model.memory_bank = embeddings[torch.randperm(len(embeddings))[:count]]
    chosen = seconds[0] + (count - _FEW) * (seconds[1] - seconds[0]) / (_MORE - _FEW)
    return chosen - (time.perf_counter() - started)


def inspect(
    method: str, size: tuple[int, int], state: Path, pictures: list[str], batch: int
) -> dict[str, float | None]:
    """From files to scores and maps: latency of each batch, and pictures a second."""
    peer = _Peer(method, size)
    peer.module.model.load_state_dict(load_file(state))
    peer.module.model.eval()
    latencies = []
    peer.module.model(peer.read(pictures[:batch]))
    for start in range(0, len(pictures), batch):
        started = time.perf_counter()
        peer.module.model(peer.read(pictures[start : start + batch]))
        latencies.append(time.perf_counter() - started)
    p50, p99 = np.percentile(np.array(latencies) * 1e3, (50, 99)).tolist() if batch == 1 else (None, None)
    return {
        "images_per_second": len(pictures) / sum(latencies),
        "p50_ms": p50,
        "p99_ms": p99,
        "peak_ram_mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
    }


def main() -> None:
    asked = json.loads(Path(sys.argv[1]).read_text())
    kinds: dict[str, Callable[..., Any]] = {"learn": learn, "inspect": inspect}
    run = kinds[asked.pop("kind")]
    with torch.no_grad():
        print(json.dumps(run(**asked | {"size": tuple(asked["size"]), "state": Path(asked["state"])})))


if __name__ == "__main__":
    main()
