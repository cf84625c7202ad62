"""Writes the first inputs of the fuzzer: small files of each kind, valid ones.

    seeds.py FOLDER      FOLDER/{onnx,safetensors,numpy,idx}/NAME
"""

import gzip
import io
import json
import pathlib
import struct
import sys

import numpy
from onnx import TensorProto, helper, numpy_helper

FLOAT, INT64 = TensorProto.FLOAT, TensorProto.INT64


def value(name, shape, kind=FLOAT):
    return helper.make_tensor_value_info(name, kind, shape)


def constant(name, array):
    return numpy_helper.from_array(numpy.asarray(array), name)


def model(nodes, inputs, outputs, initializers=(), opset=21):
    graph = helper.make_graph(nodes, "g", inputs, outputs, list(initializers))
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)])
    made.ir_version = 9
    return made


def networks():
    x, y = value("x", ["n", 2, 4, 4]), value("y", None)
    ones = lambda *shape: numpy.ones(shape, numpy.float32)
    sizes = lambda *numbers: numpy.array(numbers, numpy.int64)
    node = helper.make_node
    single = {
        "conv": ([node("Conv", ["x", "w", "b"], ["y"], pads=[1, 1, 1, 1], strides=[2, 2])],
                 [constant("w", ones(3, 2, 3, 3)), constant("b", ones(3))]),
        "depthwise": ([node("Conv", ["x", "w"], ["y"], group=2, auto_pad="SAME_UPPER", dilations=[2, 1])],
                      [constant("w", ones(2, 1, 3, 3))]),
        "transposed": ([node("ConvTranspose", ["x", "w"], ["y"], output_padding=[1, 0], strides=[2, 2])],
                       [constant("w", ones(2, 1, 3, 3))]),
        "pool": ([node("MaxPool", ["x"], ["p"], kernel_shape=[2, 2], ceil_mode=1),
                  node("AveragePool", ["p"], ["y"], kernel_shape=[3, 3], pads=[1, 1, 1, 1])], []),
        "norm": ([node("BatchNormalization", ["x", "s", "s", "s", "s"], ["y"], epsilon=1e-3)],
                 [constant("s", ones(2))]),
        "dense": ([node("Flatten", ["x"], ["f"]), node("Gemm", ["f", "w", "b"], ["y"], transB=1, alpha=0.5)],
                  [constant("w", ones(3, 32)), constant("b", ones(3))]),
        "reshape": ([node("Shape", ["x"], ["s"]), node("Gather", ["s", "zero"], ["n"]),
                     node("Concat", ["n", "rest"], ["t"], axis=0), node("Reshape", ["x", "t"], ["y"])],
                    [constant("zero", sizes(0)), constant("rest", sizes(-1, 8))]),
        "slice": ([node("Slice", ["x", "a", "b", "c", "d"], ["s"]), node("Unsqueeze", ["s", "c"], ["u"]),
                   node("Expand", ["u", "e"], ["y"])],
                  [constant("a", sizes(0)), constant("b", sizes(2**62)), constant("c", sizes(3)),
                   constant("d", sizes(-1)), constant("e", sizes(2, 1, 1, 1, 1))]),
        "split": ([node("Split", ["x"], ["p", "q"], axis=1, num_outputs=2),
                   node("Add", ["p", "q"], ["y"])], []),
        "pad": ([node("Pad", ["x", "p"], ["y"], mode="reflect")], [constant("p", sizes(0, 0, 1, 1, 0, 0, 2, -1))]),
        "resize": ([node("Resize", ["x", "", "s"], ["y"], mode="linear")],
                   [constant("s", numpy.array([1, 1, 2, 0.5], numpy.float32))]),
        "reduce": ([node("ReduceMean", ["x", "a"], ["r"], keepdims=0), node("TopK", ["r", "k"], ["y", "i"])],
                   [constant("a", sizes(2, 3)), constant("k", sizes(1))]),
        "einsum": ([node("Einsum", ["x", "x"], ["y"], equation="bcij,bcjk->bik")], []),
        "tile": ([node("Tile", ["x", "r"], ["t"]), node("Transpose", ["t"], ["u"], perm=[0, 2, 3, 1]),
                  node("DepthToSpace", ["u"], ["y"], blocksize=2)], [constant("r", sizes(1, 2, 1, 1))]),
        "quantized": ([node("QuantizeLinear", ["x", "s", "z"], ["q"]),
                       node("DequantizeLinear", ["q", "s", "z"], ["d"]), node("Relu", ["d"], ["y"])],
                      [constant("s", numpy.float32(0.1)), constant("z", numpy.uint8(3))]),
        "range": ([node("Range", ["a", "b", "c"], ["r"]), node("ConstantOfShape", ["r"], ["y"])],
                  [constant("a", numpy.int64(1)), constant("b", numpy.int64(4)), constant("c", numpy.int64(1))]),
        "grid": ([node("GridSample", ["x", "g"], ["y"])], [constant("g", ones(1, 2, 2, 2))]),
        "lstm": ([node("Reshape", ["x", "s"], ["t"]), node("LSTM", ["t", "w", "r"], ["y"], hidden_size=2)],
                 [constant("s", sizes(2, -1, 4)), constant("w", ones(1, 8, 4)), constant("r", ones(1, 8, 2))]),
        "nonzero": ([node("NonZero", ["x"], ["i"]), node("Cast", ["i"], ["y"], to=FLOAT)], []),
        "constant": ([node("Constant", [], ["c"], value=constant("v", ones(4))), node("Mul", ["x", "c"], ["y"])], []),
    }
    for name, (nodes, initializers) in single.items():
        yield name, model(nodes, [x], [y], initializers)
    inner = lambda op, name: helper.make_graph([node(op, ["x"], [name])], op, [], [value(name, None)])
    yield "if", model(
        [node("If", ["c"], ["y"], then_branch=inner("Relu", "a"), else_branch=inner("Neg", "b"))],
        [x, value("c", [], TensorProto.BOOL)], [y])
    body = helper.make_graph(
        [node("Identity", ["c"], ["d"]), node("Add", ["s", "s"], ["t"])], "body",
        [value("i", [], INT64), value("c", [], TensorProto.BOOL), value("s", None)],
        [value("d", [], TensorProto.BOOL), value("t", None)])
    yield "loop", model([node("Loop", ["n", "", "x"], ["y"], body=body)], [x], [y],
                        [constant("n", numpy.int64(3))])
    typed = helper.make_tensor("w", FLOAT, [2, 2], [1.0, 2.0, 3.0, 4.0])
    half = helper.make_tensor("h", TensorProto.FLOAT16, [2], [1, 15360])
    yield "typed", model([node("MatMul", ["x", "w"], ["y"])], [value("x", [1, 2])], [y], [typed, half])


def safetensors(tensors, metadata=None):
    header, data = {}, b""
    if metadata:
        header["__metadata__"] = metadata
    for name, (kind, array) in tensors.items():
        raw = array.tobytes()
        header[name] = {"dtype": kind, "shape": list(array.shape), "data_offsets": [len(data), len(data) + len(raw)]}
        data += raw
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    return struct.pack("<Q", len(text)) + text + data


def main():
    root = pathlib.Path(sys.argv[1])

    def write(kind, name, data):
        (root / kind).mkdir(parents=True, exist_ok=True)
        (root / kind / name).write_bytes(data)

    for name, made in networks():
        write("onnx", name, made.SerializeToString())

    ramp = numpy.arange(6, dtype=numpy.float32).reshape(2, 3)
    write("safetensors", "float", safetensors({"w": ("F32", ramp), "b": ("F32", ramp[0])}, {"format": "pt"}))
    write("safetensors", "kinds", safetensors({
        "h": ("F16", ramp.astype(numpy.float16)), "i": ("I8", ramp.astype(numpy.int8)),
        "l": ("I64", ramp.astype(numpy.int64)), "e": ("F32", ramp[:0]), "u": ("BF16", ramp.astype(numpy.uint16))}))

    def saved(save, *arguments, **named):
        file = io.BytesIO()
        save(file, *arguments, **named)
        return file.getvalue()

    write("numpy", "float", saved(numpy.save, ramp))
    write("numpy", "fortran", saved(numpy.save, numpy.asfortranarray(ramp.astype(numpy.float64))))
    write("numpy", "big", saved(numpy.save, ramp.astype(">i4")))
    write("numpy", "archive", saved(numpy.savez, x=ramp, labels=ramp[0].astype(numpy.int64)))
    write("numpy", "deflated", saved(numpy.savez_compressed, x=ramp))

    images = struct.pack(">HBBIII", 0, 8, 3, 2, 2, 2) + bytes(range(8))
    write("idx", "images", images)
    write("idx", "labels", struct.pack(">HBBI", 0, 8, 1, 4) + bytes(4))
    write("idx", "floats", struct.pack(">HBBI", 0, 13, 1, 2) + struct.pack(">ff", 1, 2))
    write("idx", "compressed", gzip.compress(images, mtime=0))


main()
