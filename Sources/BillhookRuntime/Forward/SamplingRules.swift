internal import BillhookGraph
internal import BillhookTensor

/// Images made larger: resizing and transposed convolution.
enum SamplingRules {
  static func resize(_ l: Lowering, _ step: Step) throws(RuntimeError) -> LoweredValue {
    let node = step.node
    let x = try l.float(node.inputs[0])
    let shape = l.shape(node.outputs[0])
    var constants: [Tensor?] = [nil]
    for name in node.inputs.dropFirst() {
      constants.append(name.isEmpty ? nil : try l.settled(name))
    }
    let isWhole =
      node.ints("axes") == nil
      && node.string("keep_aspect_ratio_policy", default: "stretch") == "stretch"
    if isWhole, node.input(3) != nil, constants[3] == nil {
      // The sizes are those of the output.
      constants[3] = Tensor(shape.map { Int64($0) })
    }
    for (name, tensor) in zip(node.inputs, constants).dropFirst()
    where !name.isEmpty && tensor == nil {
      throw .unsupportedForm(
        node: node.displayName, op: node.op, found: "the computed input \"\(name)\"",
        expected: "a constant one")
    }
    let taps: ResizeTaps
    do {
      taps = try ResizeTaps(
        node, opset: l.graph.opset, input: x.shape, output: shape, constants: constants)
    } catch {
      throw .graph(error)
    }
    guard x.shape.count == 4, taps.axes.allSatisfy({ $0.axis >= 2 }),
      taps.axes.allSatisfy({ $0.rows.allSatisfy { !$0.isEmpty } })
    else {
      throw .unsupportedForm(
        node: node.displayName, op: node.op, found: "\(x.shape) resized to \(shape)",
        expected: "the last two of four axes, without a border")
    }
    let axes = (2...3).map { axis in
      taps.axes.first { $0.axis == axis }?.rows ?? (0..<x.shape[axis]).map { [($0, 1)] }
    }
    return .computed(try l.plan.resize(x, axes, shape))
  }

  static func deconv(_ l: Lowering, _ step: Step) throws(RuntimeError) -> LoweredValue {
    let node = step.node
    let x = try l.float(node.inputs[0])
    let kernel = Array(l.shape(node.inputs[1]).dropFirst(2))
    let isStated =
      node.ints("output_shape") == nil
      && ["", "NOTSET"].contains(node.string("auto_pad", default: ""))
    guard isStated else {
      throw .unsupportedForm(
        node: node.displayName, op: node.op, found: "padding that follows from the output",
        expected: "padding that is stated")
    }
    let ones = kernel.map { _ in 1 }
    let pads = node.ints("pads") ?? (kernel + kernel).map { _ in 0 }
    let shape = l.shape(node.outputs[0])
    var window = Window(whole: kernel)
    window.strides = node.ints("strides") ?? ones
    window.dilations = node.ints("dilations") ?? ones
    window.padsBegin = Array(pads.prefix(kernel.count))
    window.padsEnd = Array(pads.suffix(kernel.count))
    let weight = try l.parameter(node.inputs[1])
    let bias = try l.bias(step, outputs: shape[1])
    return .computed(
      try l.plan.deconv(
        x, weight, bias, Convolving(window: window, groups: node.int("group", default: 1)),
        step.activations, shape))
  }
}
