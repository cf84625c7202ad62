internal import BillhookGraph
internal import OrderedCollections
internal import SwiftProtobuf

/// Puts the functions that a model defines for itself in the place of the nodes that call them.
///
/// The values and nodes of a body get the name of the call before their own, and a number behind it
/// where that is taken. A function of the name of a standard operator stands before it.
///
/// Source: the ONNX intermediate representation, `FunctionProto` in onnx.proto.
struct FunctionInlining {
  /// Calls in calls, and subgraphs in them, deeper than this are refused.
  private static let maximumDepth = 64
  /// A few functions that call each other twice stand for as many nodes as one likes.
  private static let maximumNodeCount = 1 << 18
  /// What a model file can hold, so that the network can be written again.
  private static let maximumByteCount = 1 << 31
  /// A call with a long name gives it to every value of the body.
  private static let maximumNameByteCount = 1 << 28

  private struct Function {
    let proto: Onnx_FunctionProto
    /// The size of the body in the file, and its nodes with those of subgraphs.
    let byteCount: Int
    let nodeCount: Int
  }

  /// One node that calls a function.
  private struct Call {
    let function: FunctionName
    /// What the names of the body's values and nodes start with.
    let prefix: String
    /// The caller's names for the outputs that nodes of the body make.
    let results: [String: String]
    let attributes: [String: Onnx_AttributeProto]
  }

  private let decoder: ONNXDecoder
  private var functions: [FunctionName: Function] = [:]
  /// The functions whose operator sets were looked at.
  private var checked: OrderedSet<FunctionName> = []
  private var opsets: [String: Int64] = [:]
  private var pool = NamePool([])
  /// How many nodes each function stands for.
  private var totals: [FunctionName: Int] = [:]
  private var nodeCount = 0
  private var byteCount = 0
  private var nameByteCount = 0

  /// Replaces the calls in the model's graph, and drops the functions, which nothing calls then. A
  /// model without calls stays as it is.
  ///
  /// - Throws: ``FormatError``.
  static func inline(_ model: inout Onnx_ModelProto, _ decoder: ONNXDecoder) throws(FormatError) {
    guard !model.functions.isEmpty else { return }
    var inlining = FunctionInlining(decoder: decoder)
    for function in model.functions { try inlining.add(function) }
    for entry in model.opsetImport {
      inlining.opsets[FunctionName.canonical(entry.domain)] = entry.version
    }
    let nodes = model.graph.node
    try inlining.requireRoom(nodes: inlining.total(nodes) - count(nodes))

    let known = Set(inlining.opsets.keys)
    var names: Set<String> = []
    names.collect(model.graph)
    inlining.pool = NamePool(names)
    model.graph.node = try inlining.expand(model.graph.node, [])

    guard !inlining.checked.isEmpty else { return }
    // Training graphs and lists of subgraphs, which are carried as they are, may call them too.
    if model.trainingInfo.isEmpty, !listsSubgraphs(model.graph.node) { model.functions = [] }
    for (domain, version) in inlining.opsets.sorted(by: { $0.key < $1.key }) {
      guard !known.contains(domain) else { continue }
      var entry = Onnx_OperatorSetIdProto()
      entry.domain = domain
      entry.version = version
      model.opsetImport.append(entry)
    }
  }

  private init(decoder: ONNXDecoder) { self.decoder = decoder }

  private mutating func add(_ proto: Onnx_FunctionProto) throws(FormatError) {
    let name = FunctionName(of: proto)
    guard functions[name] == nil else {
      throw decoder.malformed("the function \"\(name)\"", "the name twice", "it once")
    }
    functions[name] = Function(
      proto: proto, byteCount: proto.node.reduce(0) { $0 + $1.restBytes.count },
      nodeCount: Self.count(proto.node))
  }

  /// The nodes without the calls among them and in their subgraphs.
  ///
  /// - Parameters:
  ///   - calls: The functions around the nodes, the outermost first.
  ///   - depth: How many functions and subgraphs are around the nodes.
  private mutating func expand(
    _ nodes: [Onnx_NodeProto], _ calls: [FunctionName], depth: Int = 0
  ) throws(FormatError) -> [Onnx_NodeProto] {
    var result: [Onnx_NodeProto] = []
    result.reserveCapacity(nodes.count)
    for var node in nodes {
      for index in node.attribute.indices where node.attribute[index].hasG {
        node.attribute[index].g.node = try expand(
          node.attribute[index].g.node, calls, depth: depth + 1)
      }
      let name = FunctionName(calledBy: node)
      guard let function = functions[name] else {
        result.append(node)
        continue
      }
      guard !calls.contains(name) else {
        let chain = (calls.drop { $0 != name } + [name]).map { "\"\($0)\"" }
        throw decoder.malformed(
          "the function \"\(name)\"",
          "calls without an end (\(chain.joined(separator: " calls ")))",
          "functions that do not call themselves")
      }
      guard depth < Self.maximumDepth else {
        throw decoder.malformed(
          "the function \"\(name)\"", "a call inside of \(depth) functions and subgraphs",
          "at most \(Self.maximumDepth)")
      }
      try checkOpsets(function.proto, name)
      let body = try body(of: function, name, calledBy: node)
      result += try expand(body, calls + [name], depth: depth + 1)
    }
    return result
  }

  /// The nodes of a function, on the values of a call.
  private mutating func body(
    of function: Function, _ name: FunctionName, calledBy node: Onnx_NodeProto
  ) throws(FormatError) -> [Onnx_NodeProto] {
    let proto = function.proto
    let label = node.name.isEmpty ? node.output.first { !$0.isEmpty } ?? node.opType : node.name
    for (kind, found, known) in [
      ("inputs", node.input.count, proto.input.count),
      ("outputs", node.output.count, proto.output.count),
    ] where found > known {
      throw decoder.malformed(
        "node \"\(label)\"", "\(found) \(kind)",
        "at most \(known), which the function \"\(name)\" has")
    }
    var scope: [String: String] = [:]
    for (index, input) in proto.input.enumerated() {
      scope[input] = index < node.input.count ? node.input[index] : ""
    }
    var results: [String: String] = [:]
    for (output, wanted) in zip(proto.output, node.output)
    where !wanted.isEmpty && scope[output] == nil && results[output] == nil {
      results[output] = wanted
    }
    var attributes: [String: Onnx_AttributeProto] = [:]
    for attribute in proto.attributeProto { attributes[attribute.name] = attribute }
    for attribute in node.attribute { attributes[attribute.name] = attribute }
    let call = Call(
      function: name, prefix: node.name.isEmpty ? pool.unused(proto.name) : node.name,
      results: results, attributes: attributes)

    try charge(call, nodes: function.nodeCount, bytes: function.byteCount)
    var nodes: [Onnx_NodeProto] = []
    for inner in proto.node { nodes.append(try renamed(inner, &scope, call, isNested: false)) }
    for (output, wanted) in zip(proto.output, node.output) where !wanted.isEmpty {
      guard let made = scope[output], !made.isEmpty else {
        throw decoder.malformed(
          "the function \"\(name)\"", "the output \"\(output)\", which nothing in it makes",
          "outputs that its nodes make")
      }
      // An input that is an output too, or one value as two outputs.
      if made != wanted {
        var identity = Onnx_NodeProto()
        identity.opType = "Identity"
        identity.name = try newName(output, call)
        identity.input = [made]
        identity.output = [wanted]
        nodes.append(identity)
      }
    }
    return nodes
  }

  /// Counts what a call stands for, before it is made.
  private mutating func charge(_ call: Call, nodes: Int, bytes: Int) throws(FormatError) {
    nodeCount += nodes
    byteCount += bytes
    try requireRoom(nodes: nodeCount)
    guard byteCount <= Self.maximumByteCount else {
      throw decoder.unsupported(
        "the function \"\(call.function)\"", "calls that stand for \(byteCount) bytes",
        "up to \(Self.maximumByteCount) bytes in all functions")
    }
  }

  private func requireRoom(nodes: Int) throws(FormatError) {
    guard nodes <= Self.maximumNodeCount else {
      throw decoder.unsupported(
        "the functions of the model", "calls that stand for \(nodes) nodes",
        "up to \(Self.maximumNodeCount) nodes in all functions")
    }
  }

  /// The number of nodes with those that calls stand for. Calls that are deeper or go round in a
  /// circle, which are refused later, count for little.
  private mutating func total(_ nodes: [Onnx_NodeProto], depth: Int = 0) -> Int {
    var sum = nodes.count
    for node in nodes {
      for attribute in node.attribute where attribute.hasG {
        sum += total(attribute.g.node, depth: depth)
      }
      let name = FunctionName(calledBy: node)
      guard let function = functions[name] else { continue }
      if totals[name] == nil {
        totals[name] = 0
        guard depth < Self.maximumDepth else { continue }
        // Far more than is allowed, and so little that sums do not overflow.
        totals[name] = min(total(function.proto.node, depth: depth + 1), 1 << 32)
      }
      sum += totals[name] ?? 0
    }
    return sum
  }

  private static func listsSubgraphs(_ nodes: [Onnx_NodeProto]) -> Bool {
    nodes.contains {
      $0.attribute.contains { !$0.graphs.isEmpty || $0.hasG && listsSubgraphs($0.g.node) }
    }
  }

  private static func count(_ nodes: [Onnx_NodeProto]) -> Int {
    nodes.reduce(0) { sum, node in
      sum + node.attribute.reduce(1) { $0 + ($1.hasG ? count($1.g.node) : 0) }
    }
  }
}

// MARK: - Names and attributes

extension FunctionInlining {
  /// A node of a body with the caller's values and attributes.
  ///
  /// - Parameters:
  ///   - scope: The new name of each value that the node can see; its outputs are added.
  ///   - isNested: True in a subgraph, whose values are not the function's outputs.
  private mutating func renamed(
    _ source: Onnx_NodeProto, _ scope: inout [String: String], _ call: Call, isNested: Bool
  ) throws(FormatError) -> Onnx_NodeProto {
    var node = source
    let label = source.name.isEmpty ? source.output.first ?? source.opType : source.name
    if !node.name.isEmpty { node.name = try newName(node.name, call) }
    for index in node.input.indices where !node.input[index].isEmpty {
      node.input[index] = try value(node.input[index], readBy: label, scope, call)
    }
    var attributes: [Onnx_AttributeProto] = []
    for var attribute in source.attribute {
      if attribute.hasRefAttrName, !attribute.refAttrName.isEmpty {
        // What the caller leaves out, and has no default, the node does without.
        guard var given = call.attributes[attribute.refAttrName] else { continue }
        try charge(
          call, nodes: given.hasG ? Self.count(given.g.node) : 0, bytes: given.restBytes.count)
        given.name = attribute.name
        attributes.append(given)
        continue
      }
      if attribute.hasG {
        attribute.g = try renamed(attribute.g, of: label, &scope, call)
      }
      guard attribute.graphs.isEmpty else {
        throw decoder.unsupported(
          "node \"\(label)\" of the function \"\(call.function)\"",
          "a list of subgraphs as the attribute \"\(attribute.name)\"", "one subgraph an attribute")
      }
      attributes.append(attribute)
    }
    node.attribute = attributes
    for index in node.output.indices where !node.output[index].isEmpty {
      let name = node.output[index]
      if !isNested, scope[name] != nil {
        throw decoder.malformed(
          "node \"\(label)\" of the function \"\(call.function)\"",
          "the value \"\(name)\" for the second time", "each value made once")
      }
      if !isNested, let wanted = call.results[name] {
        node.output[index] = wanted
      } else {
        node.output[index] = try newName(name, call)
      }
      scope[name] = node.output[index]
    }
    return node
  }

  /// A subgraph of a body; it may read what the function has made before.
  private mutating func renamed(
    _ source: Onnx_GraphProto, of node: String, _ scope: inout [String: String], _ call: Call
  ) throws(FormatError) -> Onnx_GraphProto {
    var graph = source
    let inputs = Set(source.input.map(\.name))
    // What the subgraph calls by a name of the outside hides that only for itself.
    let own =
      inputs.union(source.initializer.map(\.name))
      .union(source.sparseInitializer.map(\.values.name)).union(source.node.flatMap(\.output))
    let hidden = own.map { (name: $0, outside: scope[$0]) }
    defer { for (name, outside) in hidden { scope[name] = outside } }
    for index in graph.input.indices { try define(&graph.input[index].name, &scope, call) }
    // Old models list an initializer as an input too: it is one value.
    for index in graph.initializer.indices {
      let name = graph.initializer[index].name
      if inputs.contains(name), let new = scope[name] {
        graph.initializer[index].name = new
      } else {
        try define(&graph.initializer[index].name, &scope, call)
      }
    }
    for index in graph.sparseInitializer.indices {
      try define(&graph.sparseInitializer[index].values.name, &scope, call)
    }
    for index in graph.node.indices {
      graph.node[index] = try renamed(graph.node[index], &scope, call, isNested: true)
    }
    for index in graph.output.indices {
      graph.output[index].name = try value(graph.output[index].name, readBy: node, scope, call)
    }
    graph.valueInfo = graph.valueInfo.compactMap { info in
      guard let name = scope[info.name] else { return nil }
      var info = info
      info.name = name
      return info
    }
    return graph
  }

  private mutating func define(
    _ name: inout String, _ scope: inout [String: String], _ call: Call
  ) throws(FormatError) {
    guard !name.isEmpty else { return }
    let new = try newName(name, call)
    scope[name] = new
    name = new
  }

  /// A name for a value or node of a body that nothing else in the model has.
  private mutating func newName(_ name: String, _ call: Call) throws(FormatError) -> String {
    nameByteCount += call.prefix.utf8.count + name.utf8.count
    guard nameByteCount <= Self.maximumNameByteCount else {
      throw decoder.unsupported(
        "the function \"\(call.function)\"",
        "calls whose values have names of more than \(Self.maximumNameByteCount) bytes",
        "shorter names of nodes that call functions")
    }
    return pool.unused("\(call.prefix)/\(name)")
  }

  /// The new name of a value. A body must not find a value of its caller by chance.
  private func value(
    _ name: String, readBy node: String, _ scope: [String: String], _ call: Call
  ) throws(FormatError) -> String {
    guard let new = scope[name] else {
      throw decoder.malformed(
        "node \"\(node)\" of the function \"\(call.function)\"",
        "the value \"\(name)\", which nothing before it makes",
        "inputs of the function and values of nodes before it")
    }
    return new
  }
}

// MARK: - Operator sets

extension FunctionInlining {
  /// Takes over the operator sets that the model does not import, and compares the others: a node
  /// means in the model's version what it means in the function's.
  private mutating func checkOpsets(
    _ proto: Onnx_FunctionProto, _ name: FunctionName
  ) throws(FormatError) {
    guard checked.append(name).inserted else { return }
    for entry in proto.opsetImport {
      let domain = FunctionName.canonical(entry.domain)
      guard let version = opsets[domain] else {
        opsets[domain] = entry.version
        continue
      }
      guard domain.isEmpty, version != entry.version else { continue }
      try checkNodes(proto.node, name, version: entry.version, in: version)
    }
  }

  private func checkNodes(
    _ nodes: [Onnx_NodeProto], _ name: FunctionName, version: Int64, in model: Int64
  ) throws(FormatError) {
    for node in nodes {
      for attribute in node.attribute where attribute.hasG {
        try checkNodes(attribute.g.node, name, version: version, in: model)
      }
      let called = FunctionName(calledBy: node)
      guard called.domain.isEmpty, functions[called] == nil else { continue }
      guard OperatorVersions.agree(on: node.opType, Int(version), Int(model)) else {
        throw decoder.unsupported(
          "the function \"\(name)\"",
          "\(node.opType) of version \(version) of the ONNX operator set, but the model has version "
            + "\(model), in which \(node.opType) is defined anew",
          "functions of the model's operator set; convert both to one version")
      }
    }
  }
}

extension Set<String> {
  /// Adds every name of a value or node in a graph and its subgraphs.
  fileprivate mutating func collect(_ graph: Onnx_GraphProto) {
    formUnion(graph.input.map(\.name))
    formUnion(graph.output.map(\.name))
    formUnion(graph.initializer.map(\.name))
    formUnion(graph.sparseInitializer.map(\.values.name))
    for node in graph.node {
      insert(node.name)
      formUnion(node.input)
      formUnion(node.output)
      for attribute in node.attribute where attribute.hasG { collect(attribute.g) }
    }
  }
}
