internal import BillhookGraph
internal import BillhookTensor

/// An operation of a ``KernelPlan`` that Swift computes: tensors in, float32 tensors out.
final class HostCall {
  typealias Body = ([Tensor]) throws -> [Tensor]

  private let node: String
  private let inputs: [(shape: [Int], type: ElementType)]
  private let shapes: [[Int]]
  private let body: Body
  private var failure: (any Error)?

  init(
    node: String, inputs: [PlanValue], shapes: [[Int]], _ body: @escaping Body
  ) {
    self.node = node
    self.inputs = inputs.map { ($0.shape, $0.elementType) }
    self.shapes = shapes
    self.body = body
  }

  /// Why the call failed; once.
  func takeFailure() -> RuntimeError? {
    defer { failure = nil }
    switch failure {
    case nil: return nil
    case let error as GraphError: return .graph(error)
    case let error as RuntimeError: return error
    case let error?: return .kernel(node: node, reason: "\(error)")
    }
  }

  /// What the plan calls; `context` is a ``HostCall``.
  static let run:
    @convention(c) (
      UnsafeMutableRawPointer?, UnsafePointer<UnsafeRawPointer?>?,
      UnsafePointer<UnsafeMutableRawPointer?>?
    ) -> Int32 = { context, inputs, outputs in
      guard let context else { return 1 }
      let call = Unmanaged<HostCall>.fromOpaque(context).takeUnretainedValue()
      return call.run(inputs, outputs)
    }

  private func run(
    _ from: UnsafePointer<UnsafeRawPointer?>?, _ to: UnsafePointer<UnsafeMutableRawPointer?>?
  ) -> Int32 {
    let tensors = inputs.enumerated().map { index, input in
      var tensor = Tensor(zeros: input.shape, input.type)
      tensor.withUnsafeMutableBytes { bytes in
        guard let source = from?[index] else { return }
        bytes.copyMemory(from: UnsafeRawBufferPointer(start: source, count: bytes.count))
      }
      return tensor
    }
    do {
      for (index, result) in try body(tensors).enumerated() where index < shapes.count {
        guard result.count == shapes[index].reduce(1, *), let target = to?[index] else { return 1 }
        result.asFloat32().withUnsafeBytes { bytes in
          if let start = bytes.baseAddress {
            target.copyMemory(from: start, byteCount: bytes.count)
          }
        }
      }
      return 0
    } catch {
      failure = error
      return 1
    }
  }
}
