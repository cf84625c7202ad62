internal import BillhookGraph
internal import BillhookTensor
internal import Foundation
internal import OrderedCollections
internal import SwiftProtobuf

/// Takes a protobuf model apart into a ``Graph``.
///
/// Strings that are set but empty stay in the rest, so that encoding can set them again.
struct ONNXDecoder {
  let path: String
  /// Where the files of external data lie; nil for bytes in memory, which have none.
  let external: ExternalData?
  /// What the places of an ``ONNXOutline`` are in; nil where raw data are in their messages.
  var weights: Storage?
  let sparseBudget = SparseBudget()

  /// For messages that an outline leaves as they are.
  var ofWholeMessages: ONNXDecoder {
    var decoder = self
    decoder.weights = nil
    return decoder
  }

  func graph(_ model: Onnx_ModelProto) throws(FormatError) -> Graph {
    var rest = model
    guard rest.hasGraph else {
      throw malformed("the field \"graph\"", "nothing", "a graph")
    }
    guard rest.irVersion > 0 else {
      let found = rest.hasIrVersion ? "\(rest.irVersion)" : "nothing"
      throw malformed("the field \"ir_version\"", found, "a version of 1 or more")
    }
    try FunctionInlining.inline(&rest, self)
    for function in rest.functions { try refuseExternalData(in: function.node) }
    for training in rest.trainingInfo {
      try refuseExternalData(in: training.initialization)
      try refuseExternalData(in: training.algorithm)
    }

    var source = rest.graph
    rest.clearGraph()
    var graph = try self.graph(&source, isNested: false)
    graph.irVersion = Int(rest.irVersion)
    rest.clearIrVersion()
    graph.opsets = try takeOpsets(&rest, irVersion: graph.irVersion)
    graph.metadata = takeMetadata(&rest)
    rest.graph = source
    graph.opaque = rest.restBytes
    return graph
  }

  /// A subgraph; what is not modelled stays in its opaque bytes.
  func subgraph(_ proto: Onnx_GraphProto) throws(FormatError) -> Graph {
    var rest = proto
    var graph = try ofWholeMessages.graph(&rest, isNested: true)
    graph.opsets = [:]
    graph.opaque = rest.restBytes
    return graph
  }

  /// Takes what is modelled out of a graph.
  ///
  /// - Parameter isNested: A subgraph's inputs and outputs need no type: it follows from the outside.
  private func graph(
    _ source: inout Onnx_GraphProto, isNested: Bool
  ) throws(FormatError) -> Graph {
    var graph = Graph(name: source.name)
    graph.docString = source.docString
    if !source.name.isEmpty { source.clearName() }
    if !source.docString.isEmpty { source.clearDocString() }
    graph.initializers = try takeInitializers(&source)
    try takeInputs(&source, into: &graph, isNested: isNested)
    for output in source.output {
      graph.outputs.append(try valueInfo(output, "output", isNested: isNested))
    }
    source.output = []
    takeValueInfos(&source, into: &graph)
    for (index, node) in source.node.enumerated() {
      graph.nodes.append(try self.node(node, index))
    }
    source.node = []
    return graph
  }

  func malformed(_ location: String, _ found: String, _ expected: String) -> FormatError {
    .malformed(path: path, format: .onnx, location: location, found: found, expected: expected)
  }

  func unsupported(_ location: String, _ found: String, _ supported: String) -> FormatError {
    .unsupported(path: path, format: .onnx, location: location, found: found, supported: supported)
  }
}

// MARK: - Model

extension ONNXDecoder {
  /// The entries stay in the rest without their versions, which keeps order and unknown fields; a
  /// domain's second entry stays whole.
  private func takeOpsets(
    _ rest: inout Onnx_ModelProto, irVersion: Int
  ) throws(FormatError) -> OrderedDictionary<String, Int> {
    var opsets: OrderedDictionary<String, Int> = [:]
    for index in rest.opsetImport.indices {
      let entry = rest.opsetImport[index]
      guard opsets[entry.domain] == nil else { continue }
      guard entry.version > 0 else {
        throw malformed(
          "opset_import \(index) (domain \"\(entry.domain)\")", "version \(entry.version)",
          "a version of 1 or more")
      }
      opsets[entry.domain] = Int(entry.version)
      rest.opsetImport[index].clearVersion()
    }
    if opsets.isEmpty {
      // Before IR version 3 there was one operator set and no field to name it.
      guard irVersion < 3 else {
        throw malformed("the field \"opset_import\"", "nothing", "at least one operator set")
      }
      opsets[""] = 1
    }
    return opsets
  }

  private func takeMetadata(_ rest: inout Onnx_ModelProto) -> OrderedDictionary<String, String> {
    var metadata: OrderedDictionary<String, String> = [:]
    var kept: [Onnx_StringStringEntryProto] = []
    for entry in rest.metadataProps {
      var plain = Onnx_StringStringEntryProto()
      plain.key = entry.key
      plain.value = entry.value
      // A second entry of a key, or one with fields that we do not know, is carried but not shown.
      if plain == entry, metadata[entry.key] == nil {
        metadata[entry.key] = entry.value
      } else {
        kept.append(entry)
      }
    }
    rest.metadataProps = kept
    return metadata
  }
}

// MARK: - Graph

extension ONNXDecoder {
  private func takeInitializers(
    _ source: inout Onnx_GraphProto
  ) throws(FormatError) -> OrderedDictionary<String, Initializer> {
    var initializers: OrderedDictionary<String, Initializer> = [:]
    for index in source.initializer.indices {
      let proto = source.initializer[index]
      guard !proto.name.isEmpty else {
        throw malformed("initializer \(index)", "no name", "a name")
      }
      guard initializers[proto.name] == nil else {
        throw malformed("initializer \"\(proto.name)\"", "the name twice", "it once")
      }
      initializers[proto.name] = try initializer(proto, at: "initializer \"\(proto.name)\"")
      // The tensor's own copy of the bytes is not needed any more.
      source.initializer[index] = Onnx_TensorProto()
    }
    source.initializer = []
    for (index, sparse) in source.sparseInitializer.enumerated() {
      let name = sparse.values.name
      guard !name.isEmpty else {
        throw malformed("sparse initializer \(index)", "no name", "a name")
      }
      guard initializers[name] == nil else {
        throw malformed("sparse initializer \"\(name)\"", "the name twice", "it once")
      }
      initializers[name] = try initializer(sparse, at: "sparse initializer \"\(name)\"")
    }
    source.sparseInitializer = []
    return initializers
  }

  /// Until IR version 3 every initializer is an input as well. These stay in the rest, where an
  /// empty entry holds the place of each true input.
  private func takeInputs(
    _ source: inout Onnx_GraphProto, into graph: inout Graph, isNested: Bool
  ) throws(FormatError) {
    var places: [Onnx_ValueInfoProto] = []
    for input in source.input {
      if graph.initializers[input.name] != nil {
        places.append(input)
      } else {
        graph.inputs.append(try valueInfo(input, "input", isNested: isNested))
        places.append(Onnx_ValueInfoProto())
      }
    }
    source.input = places.count == graph.inputs.count ? [] : places
  }

  private func takeValueInfos(_ source: inout Onnx_GraphProto, into graph: inout Graph) {
    var kept: [Onnx_ValueInfoProto] = []
    for info in source.valueInfo {
      if let modelled = try? valueInfo(info, "value_info") {
        graph.valueInfos.append(modelled)
      } else {
        kept.append(info)
      }
    }
    source.valueInfo = kept
  }

  private func valueInfo(
    _ proto: Onnx_ValueInfoProto, _ role: String, isNested: Bool = false
  ) throws(FormatError) -> ValueInfo {
    let location = "\(role) \"\(proto.name)\""
    guard !proto.name.isEmpty else { throw malformed(location, "no name", "a name") }
    switch proto.type.value {
    case .tensorType?: break
    case nil where isNested: return untyped(proto)
    case nil: throw malformed(location, "no type", "the type of a tensor")
    case .sequenceType?: throw unsupported(location, "a sequence", Self.supportedTypes)
    case .mapType?: throw unsupported(location, "a map", Self.supportedTypes)
    case .optionalType?: throw unsupported(location, "an optional value", Self.supportedTypes)
    case .sparseTensorType?: throw unsupported(location, "a sparse tensor", Self.supportedTypes)
    case .opaqueType?: throw unsupported(location, "an opaque value", Self.supportedTypes)
    }
    var tensorType = proto.type.tensorType
    guard let elementType = ElementType(rawValue: tensorType.elemType) else {
      throw unsupported(location, Self.typeName(tensorType.elemType), Self.supportedTypes)
    }
    var info = ValueInfo(proto.name, elementType, shape: nil, docString: proto.docString)
    tensorType.clearElemType()
    if tensorType.hasShape {
      var dimensions: [BillhookGraph.Dimension] = []
      for (axis, dimension) in tensorType.shape.dim.enumerated() {
        dimensions.append(try self.dimension(dimension, "axis \(axis) of \(location)"))
        tensorType.shape.dim[axis].value = nil
      }
      info.shape = dimensions
      let plain = Onnx_TensorShapeProto.Dimension()
      if tensorType.shape.dim.allSatisfy({ $0 == plain }) { tensorType.shape.dim = [] }
      if tensorType.shape == Onnx_TensorShapeProto() { tensorType.clearShape() }
    }
    var rest = proto
    rest.clearName()
    if !rest.docString.isEmpty { rest.clearDocString() }
    rest.type.value = tensorType == Onnx_TypeProto.Tensor() ? nil : .tensorType(tensorType)
    if rest.type == Onnx_TypeProto() { rest.clearType() }
    info.opaque = rest.restBytes
    return info
  }

  private func untyped(_ proto: Onnx_ValueInfoProto) -> ValueInfo {
    var info = ValueInfo(proto.name, shape: nil, docString: proto.docString)
    info.isTyped = false
    var rest = proto
    rest.clearName()
    if !rest.docString.isEmpty { rest.clearDocString() }
    info.opaque = rest.restBytes
    return info
  }

  private func dimension(
    _ proto: Onnx_TensorShapeProto.Dimension, _ location: String
  ) throws(FormatError) -> BillhookGraph.Dimension {
    switch proto.value {
    // Some exporters name every axis of unknown size "?", which does not make them equal.
    case .dimParam("?")?, nil: return .symbolic("")
    case .dimParam(let name)?: return .symbolic(name)
    // Some exporters write -1 for an axis of unknown size.
    case .dimValue(-1)?: return .symbolic("")
    case .dimValue(let size)?:
      guard size >= 0, size < 1 << 40 else {
        throw malformed(location, "size \(size)", "a size from 0 to 2^40 - 1")
      }
      return .fixed(Int(size))
    }
  }
}
