public import BillhookGraph
public import BillhookTensor
internal import Foundation
internal import SwiftProtobuf

/// ONNX models as files and as bytes.
///
/// Functions that the model defines for itself are put in the place of their calls.
///
/// What ``Graph`` does not model (unknown fields, annotations, denotations, functions without calls)
/// travels through it as opaque bytes: each protobuf message loses the fields that are modelled and
/// the rest is kept, to be completed again by encoding. Reading, writing and reading again gives
/// the same graph; tensors are always written as raw bytes. Nodes in an order in which they cannot be
/// computed are sorted, those of subgraphs aside.
///
/// A model is read as a whole: what happens to its file later changes nothing. Tensors whose bytes
/// lie in files beside the model are read from there, mapped rather than copied,
/// and are written into the model.
///
/// Source: the ONNX intermediate representation, version 14 (`onnx.proto`). Our deviation: a file
/// is refused when an input, an output or an initializer has an element type that ``ElementType``
/// does not know, or when external data lie outside the model's folder.
public enum ONNXFile {
  /// Reads a model.
  ///
  /// - Throws: ``FormatError/cannotRead(path:reason:)``,
  ///   ``FormatError/malformed(path:format:location:found:expected:)``,
  ///   ``FormatError/unsupported(path:format:location:found:supported:)``.
  public static func read(path: String) throws(FormatError) -> Graph {
    try graph(in: try mapFile(path), name: path, external: ExternalData(model: path))
  }

  /// Decodes a model that is in memory; `name` stands for the path in errors.
  public static func decode(_ bytes: [UInt8], name: String) throws(FormatError) -> Graph {
    try graph(in: Tensor(bytes).sharedStorage, name: name, external: nil)
  }

  private static func graph(
    in storage: Storage, name: String, external: ExternalData?
  ) throws(FormatError) -> Graph {
    try storage.withUnsafeBytes { (bytes) throws(FormatError) in
      guard let outline = ONNXOutline(of: bytes) else {
        let model: Onnx_ModelProto = try message(bytes, of: bytes, name: name)
        return try ONNXDecoder(path: name, external: external, weights: nil).graph(model)
          .inOrderOfComputation()
      }
      let model: Onnx_ModelProto = try outline.bytes.withRawBytes { (raw) throws(FormatError) in
        try message(raw, of: bytes, name: name)
      }
      return try ONNXDecoder(path: name, external: external, weights: storage).graph(model)
        .inOrderOfComputation()
    }
  }

  /// Reads one tensor: a file that holds a `TensorProto`, as ONNX's own test cases do.
  ///
  /// - Throws: As ``read(path:)``.
  public static func readTensor(path: String) throws(FormatError) -> Tensor {
    let storage = try mapFile(path)
    return try storage.withUnsafeBytes { (bytes) throws(FormatError) in
      let proto: Onnx_TensorProto = try message(bytes, of: bytes, name: path)
      return try ONNXDecoder(path: path, external: nil, weights: nil)
        .initializer(proto, at: "the tensor").tensor
    }
  }

  /// Writes a model; the file appears whole or not at all.
  ///
  /// - Throws: ``FormatError/cannotWrite(path:reason:)``,
  ///   ``FormatError/cannotEncode(format:location:found:expected:)``.
  public static func write(_ graph: Graph, to path: String) throws(FormatError) {
    try AtomicFile.write(encode(graph), to: path)
  }

  /// Encodes a model. The same graph gives the same bytes.
  ///
  /// - Throws: ``FormatError/cannotEncode(format:location:found:expected:)`` when the model is
  ///   larger than 2 GiB, which protobuf cannot hold.
  public static func encode(_ graph: Graph) throws(FormatError) -> [UInt8] {
    let model = try ONNXEncoder().model(graph)
    do {
      return try model.serializedBytes(partial: true)
    } catch {
      throw .cannotEncode(
        format: .onnx, location: "the model", found: "more than 2 GiB",
        expected: "less than 2 GiB in one file")
    }
  }

  /// - Parameter file: What `bytes` stand for, where faults are looked for.
  private static func message<M: Message>(
    _ bytes: UnsafeRawBufferPointer, of file: UnsafeRawBufferPointer, name: String
  ) throws(FormatError) -> M {
    guard let base = bytes.baseAddress, !bytes.isEmpty else {
      throw .malformed(
        path: name, format: .onnx, location: "byte 0", found: "an empty file",
        expected: "a protobuf message ModelProto")
    }
    // Safe: the parser copies what it keeps, and the data does not outlive this function.
    let data = Data(
      bytesNoCopy: UnsafeMutableRawPointer(mutating: base), count: bytes.count, deallocator: .none)
    do {
      return try M(serializedBytes: data, partial: true)
    } catch {
      let fault = ONNXFault(in: file, error: error)
      throw .malformed(
        path: name, format: .onnx, location: fault.location, found: fault.found,
        expected: fault.expected)
    }
  }
}

extension Message {
  /// The fields that are set, as bytes; empty when none is.
  var restBytes: [UInt8] {
    // Only messages that were parsed from less than 2 GiB get here, so the size limit, the one
    // reason for a failure, is not reached.
    (try? serializedBytes(partial: true)) ?? []
  }
}
