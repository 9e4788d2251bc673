"""One process of the reference renderer, run by `dreamkit.bench.render`; a script that imports nothing of dreamkit.

It imports the toolkit with empty modules for Ray and decord, which the drawing does not use, reads the clip and prints
"ready". After a line on standard input it draws and prints "drawn"; after another it saves the pictures.
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import sys
import types


def main() -> None:
    """Run the job in the first argument, JSON with the keys reference, root, clip, camera, frames and out."""
    job = json.loads(sys.argv[1])
    sys.path.insert(0, job["reference"])
    os.chdir(job["reference"])
    ray = types.ModuleType("ray")
    setattr(ray, "remote", lambda **_: lambda function: function)  # noqa: B010 (a ModuleType declares no attribute)
    sys.modules |= {"ray": ray, "decord": types.ModuleType("decord")}
    import cv2
    import numpy as np
    import render_from_rds_hq as toolkit  # pyright: ignore[reportMissingImports]  # in the folder added above

    cv2.setNumThreads(1)
    with open("config/dataset_rds_hq.json") as file:  # noqa: PTH123 (as few imports as possible)
        settings = json.load(file) | {"CAMERAS": [job["camera"]]}
    settings["NOT_POST_TRAINING"]["MAX_CHUNK"] = -1
    root, clip, frames = job["root"], job["clip"], job["frames"]
    with contextlib.redirect_stdout(io.StringIO()):
        poses, _, objects, models = toolkit.prepare_input(root, clip, settings, "ftheta", False, (1280, 720), None)
        layers = [toolkit.simplify_minimap(f"{root}/3d_{name}/{clip}.tar") for name in settings["MINIMAP_TYPES"]]
    track, model = poses[job["camera"]], models[job["camera"]]
    print("ready", flush=True)
    sys.stdin.readline()
    with contextlib.redirect_stdout(io.StringIO()):
        joined = np.zeros((len(frames), model.height, model.width, 3), np.uint8)
        for shapes, name in layers:
            joined = np.maximum(joined, toolkit.create_minimap_projection(name, shapes, track[frames], model))
        joined = np.maximum(joined, toolkit.create_bbox_projection(objects, track, frames, model))
        pictures = np.stack([cv2.resize(one, (1280, 704), interpolation=cv2.INTER_LANCZOS4) for one in joined])
    print("drawn", flush=True)
    sys.stdin.readline()
    np.save(job["out"], pictures)


if __name__ == "__main__":
    main()
