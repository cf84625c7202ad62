"""What stock ONNX Runtime says about a network, as one JSON object.

onnxruntime_judge.py check MODEL.onnx
    Passes the file through onnx.checker and loads it.
onnxruntime_judge.py images MODEL.onnx IMAGES.gz COUNT OUT.npy
    Writes the first COUNT images, prepared as the file's metadata says, for `billhook infer`.
onnxruntime_judge.py compare MODEL.onnx IN.npy OUT.npz [LABELS.gz]
    Runs the file on IN.npy and compares with what Billhook wrote to OUT.npz.
"""

import gzip
import json
import sys

import numpy
import onnx
import onnxruntime


def idx(path):
    with gzip.open(path) as file:
        data = file.read()
    shape = numpy.frombuffer(data, ">u4", count=data[3], offset=4)
    return numpy.frombuffer(data, "u1", offset=4 + 4 * data[3]).reshape(shape)


def session(path):
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 2
    options.log_severity_level = 3
    return onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])


def check(path):
    model = onnx.load(path)
    onnx.checker.check_model(model, full_check=True)
    loaded = session(path)
    return {
        "opset": model.opset_import[0].version,
        "operators": sorted({node.op_type for node in model.graph.node}),
        "input": loaded.get_inputs()[0].shape,
        "metadata": {entry.key: entry.value for entry in model.metadata_props},
    }


def images(path, source, count, out):
    metadata = {entry.key: entry.value for entry in onnx.load(path).metadata_props}
    numbers = {
        key: numpy.array([float(x) for x in metadata[f"billhook.{key}"].split(",")], "f4")
        for key in ("mean", "std")
    }
    channels = session(path).get_inputs()[0].shape[1]
    pixels = idx(source)[: int(count), None].repeat(channels, 1).astype("f4") / 255
    shape = (1, -1, 1, 1)
    prepared = (pixels - numbers["mean"].reshape(shape)) / numbers["std"].reshape(shape)
    numpy.save(out, prepared.astype("f4"))
    return {"shape": prepared.shape}


def compare(path, source, ours_path, labels=None):
    x = numpy.load(source)
    ours = numpy.load(ours_path)
    judge = session(path)
    name = judge.get_inputs()[0].name
    # In one run, as `billhook infer`: dynamic quantization depends on who is in the batch.
    theirs = judge.run(None, {name: x})
    outputs = [output.name for output in judge.get_outputs()]
    result = {"outputs": outputs, "difference": 0.0, "magnitude": 0.0}
    for name, expected in zip(outputs, theirs):
        result["difference"] = max(
            result["difference"], float(abs(ours[name] - expected).max()))
        result["magnitude"] = max(result["magnitude"], float(abs(expected).max()))
    first, expected = ours[outputs[0]].argmax(1), theirs[0].argmax(1)
    result["agreement"] = float((first == expected).mean())
    if labels:
        truth = idx(labels)[: len(x)]
        result["ours"] = float((first == truth).mean())
        result["theirs"] = float((expected == truth).mean())
    return result


if __name__ == "__main__":
    command = {"check": check, "images": images, "compare": compare}[sys.argv[1]]
    print(json.dumps(command(*sys.argv[2:])))
