public import BillhookTensor
internal import OrderedCollections

extension Graph {
  /// The floating-point types other than float32 that weights of the network have, here and in
  /// subgraphs: constants of two axes or more. Sorted, and empty for most networks.
  public var otherWeightTypes: [ElementType] {
    var found: Set<ElementType> = []
    for tensor in constantsWithSubgraphs().values where tensor.rank > 1 {
      if Self.otherTypes.contains(tensor.elementType) { found.insert(tensor.elementType) }
    }
    return Self.otherTypes.filter { found.contains($0) }
  }

  private static let otherTypes: [ElementType] = [.float16, .bfloat16, .float64]

  /// The attributes that hold an element type.
  private static let typeAttributes: Set = [
    "to", "dtype", "output_datatype", "output_dtype", "softmax_precision", "stash_type",
  ]

  /// The same network with float32 in the place of the other types that its weights have: constants,
  /// inputs, outputs, and what lies between.
  ///
  /// Names stay; a Cast that changes nothing any more becomes an Identity. Numbers of 64 bits that are
  /// too large become the largest of 32 bits. A network with float32 weights stays as it is.
  ///
  /// - Throws: ``GraphError`` when a node is wrong.
  public func inFloat32() throws(GraphError) -> Graph {
    let types = Set(otherWeightTypes)
    guard !types.isEmpty else { return self }
    var result = self
    result.turn(types, known: try inferTypes())
    return result
  }

  private mutating func turn(_ types: Set<ElementType>, known: [String: ValueType]) {
    func turned(_ info: ValueInfo) -> ValueInfo {
      var info = info
      if info.isTyped, types.contains(info.elementType) { info.elementType = .float32 }
      return info
    }
    inputs = inputs.map(turned)
    outputs = outputs.map(turned)
    valueInfos = valueInfos.map(turned)
    for (name, initializer) in initializers where types.contains(initializer.tensor.elementType) {
      initializers[name]!.tensor = initializer.tensor.asFiniteFloat32()
    }
    for index in nodes.indices {
      for (key, attribute) in nodes[index].attributes {
        switch attribute {
        case .tensor(var initializer) where types.contains(initializer.tensor.elementType):
          initializer.tensor = initializer.tensor.asFiniteFloat32()
          nodes[index].attributes[key] = .tensor(initializer)
        case .int(let number) where Self.typeAttributes.contains(key):
          guard let type = Int32(exactly: number).flatMap({ ElementType(rawValue: $0) }),
            types.contains(type)
          else { continue }
          nodes[index].attributes[key] = .int(Int(ElementType.float32.rawValue))
        case .graph(var graph):
          // Nothing is known of the values inside, so that a Cast stays one.
          graph.turn(types, known: [:])
          nodes[index].attributes[key] = .graph(graph)
        default: continue
        }
      }
      let node = nodes[index]
      if node.op == "Cast", node.int("to", default: 0) == Int(ElementType.float32.rawValue),
        let type = node.input(0).flatMap({ known[$0]?.elementType }),
        type == .float32 || types.contains(type)
      {
        nodes[index].op = "Identity"
        nodes[index].attributes = [:]
      }
    }
  }

  /// The network with the element types that another one has for the same inputs and outputs, by a
  /// Cast behind each input and in front of each output that differs.
  public func castingInputsAndOutputs(as other: Graph) -> Graph {
    var result = self
    var names = NamePool(self)
    func cast(_ source: String, _ target: String, _ type: ElementType) -> Node {
      Node(
        "Cast", name: names.unused("\(target)_cast"), inputs: [source], outputs: [target],
        attributes: ["to": .int(Int(type.rawValue))])
    }
    var front: [Node] = []
    for index in inputs.indices {
      let input = inputs[index]
      guard let wanted = other.inputs.first(where: { $0.name == input.name })?.elementType,
        wanted != input.elementType
      else { continue }
      let inner = names.unused("\(input.name)_\(input.elementType)")
      result.inputs[index].elementType = wanted
      result.rename(input.name, to: inner)
      front.append(cast(input.name, inner, input.elementType))
    }
    result.nodes = front + result.nodes
    let given = Set(inputs.map(\.name))
    for index in outputs.indices {
      let output = outputs[index]
      guard let wanted = other.outputs.first(where: { $0.name == output.name })?.elementType,
        wanted != output.elementType
      else { continue }
      result.outputs[index].elementType = wanted
      // An output that is an input has its type back already.
      if given.contains(output.name) { continue }
      let inner = names.unused("\(output.name)_\(output.elementType)")
      result.renameDefinition(of: output.name, to: inner)
      result.outputs[index].name = output.name
      result.nodes.append(cast(inner, output.name, wanted))
    }
    return result
  }

  /// Takes each constant that training has changed, rounded to the type that it has here.
  ///
  /// - Parameters:
  ///   - trained, before: The network in float32, with and without the changes.
  public mutating func takeConstants(of trained: Graph, since before: Graph) {
    let own = constantsWithSubgraphs()
    let old = before.constantsWithSubgraphs()
    let new = trained.constantsWithSubgraphs()
    for (name, tensor) in new.sorted(by: { $0.key < $1.key }) where old[name] != tensor {
      guard let type = own[name]?.elementType else { continue }
      setConstant(name, tensor.converted(to: type))
    }
  }

  /// Constants by name; those of this graph hide those of subgraphs.
  private func constantsWithSubgraphs() -> [String: Tensor] {
    var result = constantTensors()
    for node in nodes {
      for graph in node.subgraphs {
        result.merge(graph.constantsWithSubgraphs()) { own, _ in own }
      }
    }
    return result
  }
}

extension Tensor {
  /// Float32, in which large numbers of 64 bits do not become infinite: a mask times zero stays zero.
  fileprivate func asFiniteFloat32() -> Tensor {
    let result = asFloat32()
    guard elementType == .float64 else { return result }
    let limit = Double(Float.greatestFiniteMagnitude)
    let numbers = self.numbers()
    guard numbers.contains(where: { $0.isFinite && abs($0) > limit }) else { return result }
    return Tensor(
      numbers.map { Float($0.isFinite ? min(max($0, -limit), limit) : $0) }, shape: shape)
  }
}
