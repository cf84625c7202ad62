internal import BillhookPlugins
internal import BillhookSDK

/// Takes what `save` writes, as slowly or as badly as a test wants.
final class PartialWriter {
  private(set) var bytes: [UInt8] = []
  private let pieceBytes: Int
  private let failsAfter: Int

  /// - Parameters:
  ///   - pieceBytes: The most that one call takes.
  ///   - failsAfter: How many bytes fit.
  init(pieceBytes: Int = .max, failsAfter: Int = .max) {
    self.pieceBytes = pieceBytes
    self.failsAfter = failsAfter
  }

  func withWriter<R>(_ body: (UnsafePointer<bh_writer>) -> R) -> R {
    let writer = bh_writer(
      context: Unmanaged.passUnretained(self).toOpaque(),
      write: { writer, data, count in
        guard let context = writer?.pointee.context, let data else { return -1 }
        let own = Unmanaged<PartialWriter>.fromOpaque(context).takeUnretainedValue()
        let taken = min(Int(count), own.pieceBytes, own.failsAfter - own.bytes.count)
        guard taken > 0 else { return -1 }
        own.bytes.append(contentsOf: UnsafeRawBufferPointer(start: data, count: taken))
        return Int64(taken)
      })
    return withExtendedLifetime(self) { withUnsafePointer(to: writer, body) }
  }
}

/// Gives `load` and `merge` their bytes.
final class PartialReader {
  private let bytes: [UInt8]
  private let pieceBytes: Int
  private let fails: Bool
  private var position = 0

  init(_ bytes: [UInt8], pieceBytes: Int = .max, fails: Bool = false) {
    self.bytes = bytes
    self.pieceBytes = pieceBytes
    self.fails = fails
  }

  func withReader<R>(_ body: (UnsafePointer<bh_reader>) -> R) -> R {
    let reader = bh_reader(
      context: Unmanaged.passUnretained(self).toOpaque(),
      read: { reader, data, count in
        guard let context = reader?.pointee.context, let data else { return -1 }
        let own = Unmanaged<PartialReader>.fromOpaque(context).takeUnretainedValue()
        guard !own.fails else { return -1 }
        let given = min(Int(clamping: count), own.pieceBytes, own.bytes.count - own.position)
        own.bytes.withUnsafeBytes { all in
          data.copyMemory(from: all.baseAddress! + own.position, byteCount: given)
        }
        own.position += given
        return Int64(given)
      })
    return withExtendedLifetime(self) { withUnsafePointer(to: reader, body) }
  }
}

extension ProbeInstance {
  func save(_ writer: PartialWriter, in surroundings: Surroundings = Surroundings())
    -> Observation
  {
    call(surroundings) { call in
      writer.withWriter { self.plugin.raw.save?(self.pointer, call, $0) ?? BH_E_UNSUPPORTED }
    }
  }

  func load(_ reader: PartialReader, _ version: UInt32) -> Observation {
    call(Surroundings()) { call in
      reader.withReader {
        self.plugin.raw.load?(self.pointer, call, $0, version) ?? BH_E_UNSUPPORTED
      }
    }
  }

  func merge(_ reader: PartialReader) -> Observation {
    let function = plugin.table(bh_scorer()).merge
    return call(Surroundings()) { call in
      reader.withReader { function?(self.pointer, call, $0) ?? BH_E_UNSUPPORTED }
    }
  }

  func reset() -> Observation {
    call(Surroundings()) { call in
      self.plugin.raw.reset?(self.pointer, call) ?? BH_E_UNSUPPORTED
    }
  }

  /// The instance's state; the test ends when it cannot be saved.
  func saved(_ writer: PartialWriter = PartialWriter()) throws -> [UInt8] {
    let observation = save(writer)
    guard !observation.isFailure else {
      throw Violation("\"save\" returned \(observation.described)")
    }
    return writer.bytes
  }
}

extension ProbePlugin {
  /// Hands `body` an instance that has seen whatever the plugin wants to see.
  func withObservingInstance(_ body: (ProbeInstance) throws -> Void) throws {
    let instance = try ProbeInstance(self)
    defer { instance.end() }
    try observe(instance)
    try body(instance)
  }

  /// Shows the data of an ordinary exercise to an instance.
  func observe(_ instance: ProbeInstance, batches: [Int]? = nil) throws {
    let numbers = Numbers(seed: seed)
    switch descriptor.hook {
    case .scorer:
      guard let item = ScorerCase.ordinary(self).first else { return }
      let observation = try item.observe(instance, numbers, Surroundings(), batches: batches)
      if let observation, observation.isFailure {
        throw NotApplicable("\"observe\" returned \(observation.described)")
      }
    case .quantizer: try QuantizerCase.observeOrdinary(instance, numbers, batches: batches)
    case .loss: break
    }
  }

  /// What an instance that has observed answers.
  func answer(_ instance: ProbeInstance) throws -> Observation {
    let numbers = Numbers(seed: seed)
    switch descriptor.hook {
    case .scorer:
      guard let item = ScorerCase.ordinary(self).first else {
        throw NotApplicable("no layer suits the plugin")
      }
      return try item.score(instance, numbers, Surroundings())
    case .loss:
      let item = LossCase.ordinary[0]
      return try item.compute(instance, item.batch(numbers, self), Surroundings())
    case .quantizer:
      return try QuantizerCase.answerOrdinary(instance, numbers)
    }
  }
}
