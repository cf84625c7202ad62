/// How a convolution or pooling window moves over the spatial axes: every attribute resolved.
///
/// All arrays have one element a spatial axis.
public struct Window: Sendable, Equatable {
  public var kernel: [Int]
  public var strides: [Int]
  public var dilations: [Int]
  /// Elements of padding before and after each axis, with `auto_pad` worked out.
  public var padsBegin: [Int]
  public var padsEnd: [Int]
  /// Sizes of the spatial axes before and after.
  public var input: [Int]
  public var output: [Int]

  /// A window over the whole input at once, without padding: global pooling.
  public init(whole input: [Int]) {
    kernel = input
    strides = input.map { _ in 1 }
    dilations = strides
    padsBegin = input.map { _ in 0 }
    padsEnd = padsBegin
    self.input = input
    output = strides
  }
}

extension Window {
  /// Sizes and steps above this are refused, so that sums and products of two of them fit.
  static let largest = 1 << 30

  /// The window of a Conv, MaxPool or AveragePool node.
  ///
  /// - Parameters:
  ///   - kernel: The window's size; of a Conv the weight's spatial axes.
  ///   - input: The sizes of the spatial axes of the node's first input.
  /// - Throws: ``GraphError`` when an attribute does not fit the number of axes, is out of range,
  ///   or the window is larger than the padded input.
  public init(_ node: Node, kernel: [Int], input: [Int]) throws(GraphError) {
    let attributes = try WindowAttributes(node, kernel: kernel)
    self.init(attributes, input: input)
    for axis in input.indices where output[axis] < 1 {
      let extent = attributes.extent(axis)
      let padded = input[axis] + padsBegin[axis] + padsEnd[axis]
      throw .wrongShape(
        op: node.op, node: node.displayName, value: node.input(0) ?? "",
        found: input.map { .fixed($0) },
        expected: """
          spatial axes at least as large as the window: the kernel covers \(extent) but axis \
          \(axis + 2) has \(padded) with padding
          """)
    }
  }

  private init(_ attributes: WindowAttributes, input: [Int]) {
    self.input = input
    kernel = attributes.kernel
    strides = attributes.strides
    dilations = attributes.dilations
    padsBegin = attributes.padsBegin
    padsEnd = attributes.padsEnd
    output = []
    for axis in input.indices {
      let stride = strides[axis]
      let extent = attributes.extent(axis)
      if attributes.isSame {
        let size = (input[axis] + stride - 1) / stride
        let total = max((size - 1) * stride + extent - input[axis], 0)
        padsBegin[axis] = attributes.isLower ? (total + 1) / 2 : total / 2
        padsEnd[axis] = total - padsBegin[axis]
        output.append(size)
        continue
      }
      let room = input[axis] + padsBegin[axis] + padsEnd[axis] - extent
      guard room >= 0 else {
        output.append(0)
        continue
      }
      var size = (attributes.roundsUp ? (room + stride - 1) / stride : room / stride) + 1
      // A window that would start in the padding behind the input is dropped.
      if attributes.roundsUp, (size - 1) * stride >= input[axis] + padsBegin[axis] { size -= 1 }
      output.append(size)
    }
  }
}

/// The attributes of a window, checked against its number of axes.
struct WindowAttributes {
  var kernel: [Int]
  var strides: [Int]
  var dilations: [Int]
  var padsBegin: [Int]
  var padsEnd: [Int]
  /// `auto_pad` asks for an output as large as the input divided by the stride.
  var isSame = false
  /// The odd element of padding goes before the axis.
  var isLower = false
  var roundsUp: Bool

  init(_ node: Node, kernel: [Int]) throws(GraphError) {
    func checked(
      _ key: String, count: Int, default value: Int, from lowest: Int
    ) throws(GraphError) -> [Int] {
      let found = node.ints(key) ?? [Int](repeating: value, count: count)
      guard found.count == count, found.allSatisfy({ $0 >= lowest && $0 <= Window.largest }) else {
        throw .wrongAttributeValue(
          op: node.op, node: node.displayName, attribute: key, found: "\(found)",
          expected: "\(count) integers in \(lowest)...\(Window.largest)")
      }
      return found
    }
    let rank = kernel.count
    if let stated = node.ints("kernel_shape"), stated != kernel {
      throw .wrongAttributeValue(
        op: node.op, node: node.displayName, attribute: "kernel_shape", found: "\(stated)",
        expected: "\(kernel) as the weight has")
    }
    guard kernel.allSatisfy({ $0 >= 1 && $0 <= Window.largest }) else {
      throw .wrongAttributeValue(
        op: node.op, node: node.displayName, attribute: "kernel_shape", found: "\(kernel)",
        expected: "sizes in 1...\(Window.largest)")
    }
    self.kernel = kernel
    strides = try checked("strides", count: rank, default: 1, from: 1)
    dilations = try checked("dilations", count: rank, default: 1, from: 1)
    let pads = try checked("pads", count: 2 * rank, default: 0, from: 0)
    padsBegin = Array(pads[..<rank])
    padsEnd = Array(pads[rank...])
    roundsUp = node.int("ceil_mode", default: 0) != 0
    switch node.string("auto_pad", default: "NOTSET") {
    case "NOTSET": break
    case "VALID":
      padsBegin = [Int](repeating: 0, count: rank)
      padsEnd = padsBegin
    case "SAME_UPPER": isSame = true
    case "SAME_LOWER": (isSame, isLower) = (true, true)
    case let other:
      throw .wrongAttributeValue(
        op: node.op, node: node.displayName, attribute: "auto_pad", found: "\"\(other)\"",
        expected: "NOTSET, VALID, SAME_UPPER or SAME_LOWER")
    }
    for axis in kernel.indices where !isSame && max(padsBegin[axis], padsEnd[axis]) > 0 {
      // A window that sees nothing but padding has no maximum and no average.
      guard node.op.hasPrefix("Conv") || max(padsBegin[axis], padsEnd[axis]) < extent(axis) else {
        throw .wrongAttributeValue(
          op: node.op, node: node.displayName, attribute: "pads", found: "\(pads)",
          expected: "less padding than the window covers, \(kernel.indices.map(extent))")
      }
    }
  }

  /// How many elements the window covers from its first to its last.
  func extent(_ axis: Int) -> Int { (kernel[axis] - 1) * dilations[axis] + 1 }

  /// The output's spatial axes for an input some of whose sizes are symbolic.
  func output(_ node: Node, input: [Dimension]) throws(GraphError) -> [Dimension] {
    var result: [Dimension] = []
    for (axis, dimension) in input.enumerated() {
      guard let size = dimension.size else {
        let padding = padsBegin[axis] + padsEnd[axis]
        let keepsSize = strides[axis] == 1 && (isSame || padding == extent(axis) - 1)
        result.append(keepsSize ? dimension : .symbolic(""))
        continue
      }
      guard size <= Window.largest else {
        throw .wrongShape(
          op: node.op, node: node.displayName, value: node.input(0) ?? "", found: input,
          expected: "spatial axes of at most \(Window.largest)")
      }
      result.append(.fixed(size))
    }
    // The other axes do not depend on the symbolic ones; any size that fits will do for those.
    var stand = input.indices.map { input[$0].size ?? extent($0) }
    stand = try Window(node, kernel: kernel, input: stand).output
    for axis in input.indices where input[axis].size != nil { result[axis] = .fixed(stand[axis]) }
    return result
  }
}
