internal import BillhookSDK
public import BillhookTensor

extension Scorer {
  /// A layer whose elements are to be scored.
  public struct ChunkedLayer: Sendable {
    public var layer: LayerContext
    public var weight: Tensor
    public var statistics: LayerStatistics

    public init(layer: LayerContext, weight: Tensor, statistics: LayerStatistics = .init()) {
      self.layer = layer
      self.weight = weight
      self.statistics = statistics
    }
  }

  /// Says that scores will be asked for within a millisecond. A plugin in another process wakes up
  /// meanwhile, which takes as long as many small layers.
  public func expectCall() {
    if isRemote { WorkerInstance.expectCall(instance.pointer) }
  }

  /// The most layers and elements that a worker scores in one turn: enough to make up for the turn,
  /// little enough to start again.
  private static let layersOfTurn = 64
  private static let elementsOfTurn = 1 << 20

  /// All element scores of some layers, for plugins with the CHUNKED flag; nil in the place of a layer
  /// in which the plugin crashed when the user wants such layers to be left alone.
  ///
  /// A worker scores small layers together.
  public func storedChunks(_ layers: [ChunkedLayer]) throws(PluginError) -> [Tensor?] {
    var scores: [Tensor?] = []
    while scores.count < layers.count {
      let rest = layers[scores.count...]
      let isTogether = isRemote && WorkerInstance.mayCallTogether(.scorePieces, instance.pointer)
      let turn = rest.prefix(isTogether ? layersOfTurn(rest) : 1)
      if turn.count > 1, let found = try together(turn, after: []) {
        scores += found
      } else {
        for layer in turn { scores.append(try storedChunks(layer)) }
      }
    }
    return scores
  }

  private func layersOfTurn(_ layers: ArraySlice<ChunkedLayer>) -> Int {
    var elements = 0
    let count = layers.prefix(Self.layersOfTurn).prefix { next in
      elements += next.weight.count
      return elements <= Self.elementsOfTurn
    }.count
    return max(count, 1)
  }

  private func storedChunks(_ next: ChunkedLayer) throws(PluginError) -> Tensor? {
    var scores = Tensor(unwritten: next.weight.shape)
    var isLeftAlone = false
    try scores.withUnsafeMutableElements(of: Float.self) { (out) throws(PluginError) in
      // Pieces are disjoint parts of the buffer, which outlives them.
      nonisolated(unsafe) let base = out.baseAddress
      let copy: PieceReader = { first, _, scores in
        guard let base, let source = scores.baseAddress else { return }
        (base + first).update(from: source, count: scores.count)
      }
      if !isRemote {
        return try scoreChunks(
          next.layer, weight: next.weight, statistics: next.statistics, consume: copy)
      }
      try withLoop(
        next.layer, weight: next.weight, statistics: next.statistics, .reader(copy)
      ) { loop in isLeftAlone = !loop.score(0..<out.count, into: out) }
    }
    return isLeftAlone ? nil : scores
  }

  /// The scores of layers that the worker gets in one turn; nil when it has to get them one by one.
  ///
  /// What a call needs lives as long as a closure, so there is one inside of the other.
  ///
  /// - Parameter earlier: The calls for the layers before these.
  private func together(
    _ layers: ArraySlice<ChunkedLayer>, after earlier: [PieceRequest]
  ) throws(PluginError) -> [Tensor?]? {
    guard let next = layers.first else { return try score(earlier) ? [] : nil }
    var scores = Tensor(unwritten: next.weight.shape)
    var found: Result<[Tensor?]?, PluginError> = .success(nil)
    var isSkipped = false
    try scores.withUnsafeMutableElements(of: Float.self) { (out) throws(PluginError) in
      try withLoop(
        next.layer, weight: next.weight, statistics: next.statistics, .reader { _, _, _ in }
      ) { loop in
        let request = PieceRequest(loop, 0..<out.count, into: out)
        do throws(PluginError) {
          found = .success(try together(layers.dropFirst(), after: earlier + [request]))
        } catch {
          found = .failure(error)
        }
        isSkipped = request.isSkipped
      }
    }
    return try found.get().map { [isSkipped ? nil : scores] + $0 }
  }

  /// Makes the calls in one turn of the worker; false when they have to be made one by one.
  private func score(_ requests: [PieceRequest]) throws(PluginError) -> Bool {
    let parts = requests.map {
      WorkerInstance.Part(arguments: $0.arguments, context: instance.context($0.layer))
    }
    var statuses: [bh_status]?
    for (index, part) in parts.enumerated() {
      // The first one takes the time of all.
      let status = try part.context.run("score") { _ in
        if index == 0 {
          statuses = withExtendedLifetime(requests) {
            WorkerInstance.callTogether(.scorePieces, instance.pointer, parts)
          }
        }
        return statuses.map { $0.indices.contains(index) ? $0[index] : BH_E_INTERNAL } ?? BH_SKIP
      }
      guard statuses != nil else { return false }
      requests[index].isSkipped = status == BH_SKIP
      if status != BH_SKIP {
        try checkFinite(UnsafeBufferPointer(requests[index].scores), from: 0, requests[index].layer)
      }
    }
    return true
  }
}

/// The arguments of ``HookCall/scorePieces`` for some elements of a layer.
final class PieceRequest {
  let layer: LayerContext
  let scores: UnsafeMutableBufferPointer<Float>
  /// True when the plugin left the layer out.
  var isSkipped = false
  private let cLayer: UnsafeMutablePointer<bh_layer>
  private let input: UnsafeMutablePointer<bh_score_in>
  private let out: UnsafePointer<bh_tensor>

  /// Safety: valid while the loop's body runs.
  init(_ loop: ChunkLoop, _ range: Range<Int>, into scores: UnsafeMutableBufferPointer<Float>) {
    func view(_ data: UnsafePointer<Float>) -> UnsafePointer<bh_tensor> {
      loop.tensors.view(
        UnsafeMutableRawPointer(mutating: data + range.lowerBound), .float32,
        shape: [range.count])
    }
    layer = loop.layer
    self.scores = scores
    out = loop.tensors.view(scores.baseAddress, .float32, shape: [range.count])
    input = loop.tensors.memory.place(loop.piece.input)
    input.pointee.weight = view(loop.piece.weights)
    if let gradient = loop.piece.gradient { input.pointee.grad = view(gradient) }
    cLayer = loop.tensors.memory.place(loop.piece.layer)
    cLayer.pointee.element_begin = Int64(range.lowerBound)
  }

  var arguments: [UInt] {
    [UInt(bitPattern: cLayer), UInt(bitPattern: input), UInt(bitPattern: out)]
  }
}
