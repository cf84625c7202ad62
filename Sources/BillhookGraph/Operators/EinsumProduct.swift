internal import BillhookTensor
internal import OrderedCollections

/// An Einsum of two operands as a stack of matrix products, `[B, M, K] · [B, K, N]`.
struct EinsumProduct {
  /// An operand: its axes in another order, and then as a matrix or a stack of them.
  struct Operand: Equatable {
    var order: [Int]
    var shape: [Int]
  }

  let left: Operand
  let right: Operand
  /// Of the product, with each axis of its own again.
  let productShape: [Int]
  /// From there to the output.
  let order: [Int]

  /// Nil when the operands are not two, a letter occurs twice in one of them, is in one alone and
  /// summed, or stands for a size and for one that spreads to it.
  init?(_ node: Node, opset: Int, _ types: [ValueType]) {
    let context = NodeContext(
      node: node, opset: opset, inputs: types, constants: types.map { _ in nil },
      scope: ValueScope(constants: [:]))
    let shapes = types.compactMap(\.sizes)
    guard shapes.count == 2, types.count == 2, types.allSatisfy({ $0.elementType == .float32 }),
      let equation = try? EinsumEquation(context)
    else { return nil }
    var sizes: [String: Int] = [:]
    for (letters, shape) in zip(equation.inputs, shapes) {
      guard Set(letters).count == letters.count else { return nil }
      for (letter, size) in zip(letters, shape) {
        // A Reshape takes 0 for another size.
        guard size > 0, sizes[letter, default: size] == size else { return nil }
        sizes[letter] = size
      }
    }
    let (a, b, output) = (equation.inputs[0], equation.inputs[1], equation.output)
    let stack = a.filter { b.contains($0) && output.contains($0) }
    let summed = a.filter { b.contains($0) && !output.contains($0) }
    let rows = a.filter { !b.contains($0) }
    let columns = b.filter { !a.contains($0) }
    guard (rows + columns).allSatisfy(output.contains) else { return nil }

    func size(_ letters: [String]) -> Int { letters.reduce(1) { $0 * sizes[$1]! } }
    func operand(_ own: [String], _ first: [String], _ second: [String]) -> Operand {
      Operand(
        order: (stack + first + second).map { own.firstIndex(of: $0)! },
        shape: (stack.isEmpty ? [] : [size(stack)]) + [size(first), size(second)])
    }
    left = operand(a, rows, summed)
    right = operand(b, summed, columns)
    let made = stack + rows + columns
    productShape = made.map { sizes[$0]! }
    order = output.map { made.firstIndex(of: $0)! }
  }
}

extension Graph {
  /// The graph with Einsums of two operands written as Transpose, Reshape and MatMul, for which there
  /// are kernels; nil when there are none.
  ///
  /// - Parameter types: Of all values, with known sizes.
  public func writingEinsumsAsProducts(_ types: [String: ValueType]) -> Graph? {
    guard nodes.contains(where: { $0.op == "Einsum" && $0.isStandard }) else { return nil }
    var names = NamePool(self)
    var result = self
    result.nodes = []
    var isChanged = false
    for node in nodes {
      guard node.op == "Einsum", node.isStandard,
        let product = EinsumProduct(node, opset: opset, node.inputs.compactMap { types[$0] })
      else {
        result.nodes.append(node)
        continue
      }
      isChanged = true
      /// Appends a node, and returns what it makes.
      func add(
        _ op: String, _ inputs: [String],
        _ attributes: OrderedDictionary<String, Attribute> = [:]
      ) -> String {
        let output = names.unused("\(node.outputs[0]).\(op.lowercased())")
        result.nodes.append(
          Node(
            op, name: names.unused("\(node.displayName).\(op.lowercased())"), inputs: inputs,
            outputs: [output], attributes: attributes))
        return output
      }
      func transposed(_ value: String, _ order: [Int]) -> String {
        order == Array(order.indices)
          ? value : add("Transpose", [value], ["perm": .ints(order)])
      }
      func reshaped(_ value: String, _ shape: [Int]) -> String {
        let target = names.unused("\(value).shape")
        result.initializers[target] = Initializer(Tensor(shape.map { Int64($0) }))
        return add("Reshape", [value, target])
      }
      let factors = zip(node.inputs, [product.left, product.right]).map {
        reshaped(transposed($0, $1.order), $1.shape)
      }
      _ = transposed(reshaped(add("MatMul", factors), product.productShape), product.order)
      result.nodes[result.nodes.count - 1].outputs = node.outputs
    }
    return isChanged ? result : nil
  }
}
