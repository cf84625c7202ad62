internal import BillhookSDK

/// The functions of an instance, as calls that can cross to another process.
///
/// A new hook function is a case here, a line in ``entry``, a C function at the end and, when it
/// brings a new struct, a ``CallRecord``. Both processes are of the same build, so the numbers may
/// change.
enum HookCall: Int, CaseIterable, Sendable {
  case reset, save, load
  case score, scorePieces, observe, merge
  case compute
  case layout, observeActivation, calibrate, quantize, dequantize
  case fakeQuantize, fakeQuantizeGradient
  case packedBytes, pack, unpack

  /// One function.
  final class Entry: Sendable {
    /// Nil for those that every plugin may have.
    let hook: PluginDescriptor.Hook?
    let name: String
    /// What follows `self` and the call.
    let arguments: [CallArgument]
    /// True when the call leaves the instance as it was, so that it may be made again.
    let isPure: Bool
    /// True when the plugin may answer `BH_SKIP`.
    let mayDecline: Bool
    /// The plugin's function; nil when it does not have it.
    let function: @Sendable (PluginEntry) -> UnsafeRawPointer?
    /// Puts a C function that makes the call in the worker in the place of the plugin's.
    /// Nil for what only the host's own code calls.
    let install: (@Sendable (inout PluginEntry) -> Void)?

    fileprivate init(
      hook: PluginDescriptor.Hook?, name: String, arguments: [CallArgument], isPure: Bool,
      mayDecline: Bool, function: @escaping @Sendable (PluginEntry) -> UnsafeRawPointer?,
      install: (@Sendable (inout PluginEntry) -> Void)?
    ) {
      self.hook = hook
      self.name = name
      self.arguments = arguments
      self.isPure = isPure
      self.mayDecline = mayDecline
      self.function = function
      self.install = install
    }
  }

  static let entries: [Entry] = allCases.map(\.entry)

  static func calls(of hook: PluginDescriptor.Hook) -> [HookCall] {
    allCases.filter {
      let entry = entries[$0.rawValue]
      return entry.install != nil && [nil, hook].contains(entry.hook)
    }
  }

  private var entry: Entry {
    switch self {
    case .reset: .init("reset", \.reset, [], proxy: reset0)
    case .save: .init("save", \.save, [.writer], proxy: save1, isPure: true)
    case .load: .init("load", \.load, [.reader, .integer], proxy: load2)
    case .score:
      .init(
        .scorer, "score", \bh_scorer.score, [.record(.layer), .record(.scoreIn), .tensorOut],
        proxy: score3, mayDecline: true)
    case .scorePieces:
      // The worker cuts the elements into the pieces in which the host would ask for them.
      .init(
        hook: .scorer, name: "score",
        arguments: [.record(.layer), .record(.scoreIn), .tensorUnwritten], isPure: true,
        mayDecline: true, function: HookCall.score.entry.function, install: nil)
    case .observe:
      .init(
        .scorer, "observe", \bh_scorer.observe,
        [.record(.layer), .tensorIn, .tensorIn, .tensorIn], proxy: observe4, isPure: false)
    case .merge:
      .init(.scorer, "merge", \bh_scorer.merge, [.reader], proxy: merge1, isPure: false)
    case .compute:
      .init(.loss, "compute", \bh_loss.compute, [.record(.lossIO)], proxy: compute1)
    case .layout:
      .init(
        .quantizer, "layout", \bh_quantizer.layout, [.record(.layer), .record(.layoutOut)],
        proxy: layout2, mayDecline: true)
    case .calibrate:
      .init(
        .quantizer, "calibrate", \bh_quantizer.calibrate,
        [.record(.layer), .record(.layoutIn), .tensorIn, .record(.parametersOut)],
        proxy: calibrate4)
    case .quantize:
      .init(
        .quantizer, "quantize", \bh_quantizer.quantize,
        [.record(.layer), .record(.layoutIn), .record(.parametersIn), .tensorIn, .tensorOut],
        proxy: quantize5)
    case .dequantize:
      .init(
        .quantizer, "dequantize", \bh_quantizer.dequantize,
        [.record(.layer), .record(.layoutIn), .record(.parametersIn), .tensorIn, .tensorOut],
        proxy: dequantize5)
    case .observeActivation:
      .init(
        .quantizer, "observe", \bh_quantizer.observe, [.record(.layer), .tensorIn],
        proxy: observeActivation2, isPure: false)
    case .fakeQuantize:
      .init(
        .quantizer, "fake_quant", \bh_quantizer.fake_quant,
        [.record(.layer), .record(.layoutIn), .record(.parametersIn), .tensorIn, .tensorOut],
        proxy: fakeQuantize5)
    case .fakeQuantizeGradient:
      .init(
        .quantizer, "fake_quant_grad", \bh_quantizer.fake_quant_grad,
        [
          .record(.layer), .record(.layoutIn), .record(.parametersIn), .tensorIn, .tensorIn,
          .tensorOut,
        ], proxy: fakeQuantizeGradient6)
    case .packedBytes:
      .init(
        "packed_bytes", \bh_quant_export.packed_bytes,
        [.record(.layer), .record(.layoutIn), .number])
    case .pack:
      .init(
        "pack", \bh_quant_export.pack,
        [.record(.layer), .record(.layoutIn), .record(.parametersIn), .tensorIn, .tensorOut])
    case .unpack:
      .init(
        "unpack", \bh_quant_export.unpack,
        [.record(.layer), .record(.layoutIn), .tensorIn, .record(.parametersOut), .tensorOut])
    }
  }
}

extension HookCall.Entry {
  /// A function of the hook's table.
  fileprivate convenience init<Table, Function: Sendable>(
    _ hook: PluginDescriptor.Hook, _ name: String, _ path: KeyPath<Table, Function?>,
    _ arguments: [CallArgument], proxy: Function, isPure: Bool = true, mayDecline: Bool = false
  ) {
    let place = offset(of: path)
    self.init(
      hook: hook, name: name, arguments: arguments, isPure: isPure, mayDecline: mayDecline,
      function: { $0.functions.pointer(at: place) },
      install: {
        // A C function pointer has the size and the bits of an address.
        $0.functions.set(unsafeBitCast(proxy, to: UnsafeRawPointer.self), at: place)
      })
  }

  /// A function that all hooks share.
  fileprivate convenience init<Function: Sendable>(
    _ name: String, _ path: WritableKeyPath<PluginEntry, Function?> & Sendable,
    _ arguments: [CallArgument], proxy: Function, isPure: Bool = false
  ) {
    self.init(
      hook: nil, name: name, arguments: arguments, isPure: isPure, mayDecline: false,
      function: { unsafeBitCast($0[keyPath: path], to: UnsafeRawPointer?.self) },
      install: { $0[keyPath: path] = proxy })
  }
}

extension HookCall.Entry {
  /// A function of the table that a quantizer offers under `BH_EXT_QUANT_EXPORT`; the three of them
  /// come together.
  fileprivate convenience init<Function: Sendable>(
    _ name: String, _ path: KeyPath<bh_quant_export, Function?>, _ arguments: [CallArgument]
  ) {
    let place = offset(of: path)
    self.init(
      hook: .quantizer, name: name, arguments: arguments, isPure: true, mayDecline: false,
      function: { entry in
        let id = cString(BH_EXT_QUANT_EXPORT)
        defer { id.deallocate() }
        guard let table = entry.getExtension?(id),
          Int(table.load(as: UInt32.self)) >= MemoryLayout<bh_quant_export>.size
        else { return nil }
        return UnsafeRawPointer(
          bitPattern: table.loadUnaligned(fromByteOffset: place, as: UInt.self))
      },
      install: { $0.getExtension = getExtension })
  }
}

// MARK: - Structs

extension CallRecord {
  fileprivate static let layer = CallRecord(
    bh_layer.self,
    [
      (\bh_layer.name, .text), (\bh_layer.op, .text),
      (\bh_layer.shape, .integers(countOffset: offset(of: \bh_layer.ndim))),
    ])

  fileprivate static let scoreIn = CallRecord(
    bh_score_in.self,
    [
      (\bh_score_in.weight, .tensorIn), (\bh_score_in.mask, .tensorIn),
      (\bh_score_in.grad, .tensorIn), (\bh_score_in.in_gram, .tensorIn),
      (\bh_score_in.in_abs_mean, .tensorIn), (\bh_score_in.in_sq_norm, .tensorIn),
      (\bh_score_in.out_abs_mean, .tensorIn), (\bh_score_in.out_zero_fraction, .tensorIn),
    ])

  private static let feature = CallRecord(
    bh_feature.self,
    [
      (\bh_feature.name, .text), (\bh_feature.student, .tensorIn),
      (\bh_feature.teacher, .tensorIn), (\bh_feature.grad_student_out, .tensorOut),
    ])

  fileprivate static let lossIO = CallRecord(
    bh_loss_io.self,
    [
      (\bh_loss_io.student, .tensorIn), (\bh_loss_io.teacher, .tensorIn),
      (\bh_loss_io.labels, .tensorIn), (\bh_loss_io.sample_weight, .tensorIn),
      (
        \bh_loss_io.features,
        .list(
          of: .record(feature), countOffset: offset(of: \bh_loss_io.n_features))
      ),
      (\bh_loss_io.loss_sum_out, .numberOut), (\bh_loss_io.weight_sum_out, .numberOut),
      (\bh_loss_io.grad_student_out, .tensorOut),
    ])

  fileprivate static let layoutIn = CallRecord(bh_qlayout.self, [(\bh_qlayout.storage_id, .text)])
  fileprivate static let layoutOut = CallRecord(
    bh_qlayout.self, isWritten: true, [(\bh_qlayout.storage_id, .textOut)])

  fileprivate static let parametersIn = CallRecord(
    bh_qparams.self,
    [
      (\bh_qparams.scale, .tensorIn), (\bh_qparams.zero_point, .tensorIn),
      (\bh_qparams.table, .tensorIn),
    ])
  fileprivate static let parametersOut = CallRecord(
    bh_qparams.self,
    [
      (\bh_qparams.scale, .tensorOut), (\bh_qparams.zero_point, .tensorOut),
      (\bh_qparams.table, .tensorOut),
    ])
}

// MARK: - C functions in place of a plugin's own
//
// A C function cannot carry a value, so each call needs one of its own that knows its number.

private typealias Bytes = UnsafeMutableRawPointer
private func bits<T>(_ pointer: UnsafePointer<T>?) -> UInt { UInt(bitPattern: pointer) }
private func bits<T>(_ pointer: UnsafeMutablePointer<T>?) -> UInt { UInt(bitPattern: pointer) }

private let reset0: PluginEntry.Reset = { WorkerInstance.call(.reset, $0, $1, []) }
private let save1: PluginEntry.Save = { WorkerInstance.call(.save, $0, $1, [bits($2)]) }
private let load2: PluginEntry.Load = {
  WorkerInstance.call(.load, $0, $1, [bits($2), UInt($3)])
}

private let observe4:
  @convention(c) (
    Bytes?, UnsafeMutablePointer<bh_call>?, UnsafePointer<bh_layer>?, UnsafePointer<bh_tensor>?,
    UnsafePointer<bh_tensor>?, UnsafePointer<bh_tensor>?
  ) -> bh_status = {
    WorkerInstance.call(.observe, $0, $1, [bits($2), bits($3), bits($4), bits($5)])
  }

private let merge1:
  @convention(c) (
    Bytes?, UnsafeMutablePointer<bh_call>?, UnsafePointer<bh_reader>?
  ) -> bh_status = { WorkerInstance.call(.merge, $0, $1, [bits($2)]) }

private let score3:
  @convention(c) (
    Bytes?, UnsafeMutablePointer<bh_call>?, UnsafePointer<bh_layer>?, UnsafePointer<bh_score_in>?,
    UnsafePointer<bh_tensor>?
  ) -> bh_status = { WorkerInstance.call(.score, $0, $1, [bits($2), bits($3), bits($4)]) }

private let compute1:
  @convention(c) (
    Bytes?, UnsafeMutablePointer<bh_call>?, UnsafePointer<bh_loss_io>?
  ) -> bh_status = { WorkerInstance.call(.compute, $0, $1, [bits($2)]) }

private let layout2:
  @convention(c) (
    Bytes?, UnsafeMutablePointer<bh_call>?, UnsafePointer<bh_layer>?,
    UnsafeMutablePointer<bh_qlayout>?
  ) -> bh_status = { WorkerInstance.call(.layout, $0, $1, [bits($2), bits($3)]) }

private let calibrate4:
  @convention(c) (
    Bytes?, UnsafeMutablePointer<bh_call>?, UnsafePointer<bh_layer>?, UnsafePointer<bh_qlayout>?,
    UnsafePointer<bh_tensor>?, UnsafePointer<bh_qparams>?
  ) -> bh_status = {
    WorkerInstance.call(.calibrate, $0, $1, [bits($2), bits($3), bits($4), bits($5)])
  }

private let quantize5:
  @convention(c) (
    Bytes?, UnsafeMutablePointer<bh_call>?, UnsafePointer<bh_layer>?, UnsafePointer<bh_qlayout>?,
    UnsafePointer<bh_qparams>?, UnsafePointer<bh_tensor>?, UnsafePointer<bh_tensor>?
  ) -> bh_status = {
    WorkerInstance.call(.quantize, $0, $1, [bits($2), bits($3), bits($4), bits($5), bits($6)])
  }

private let observeActivation2:
  @convention(c) (
    Bytes?, UnsafeMutablePointer<bh_call>?, UnsafePointer<bh_layer>?, UnsafePointer<bh_tensor>?
  ) -> bh_status = { WorkerInstance.call(.observeActivation, $0, $1, [bits($2), bits($3)]) }

private let fakeQuantize5:
  @convention(c) (
    Bytes?, UnsafeMutablePointer<bh_call>?, UnsafePointer<bh_layer>?, UnsafePointer<bh_qlayout>?,
    UnsafePointer<bh_qparams>?, UnsafePointer<bh_tensor>?, UnsafePointer<bh_tensor>?
  ) -> bh_status = {
    WorkerInstance.call(.fakeQuantize, $0, $1, [bits($2), bits($3), bits($4), bits($5), bits($6)])
  }

private let fakeQuantizeGradient6:
  @convention(c) (
    Bytes?, UnsafeMutablePointer<bh_call>?, UnsafePointer<bh_layer>?, UnsafePointer<bh_qlayout>?,
    UnsafePointer<bh_qparams>?, UnsafePointer<bh_tensor>?, UnsafePointer<bh_tensor>?,
    UnsafePointer<bh_tensor>?
  ) -> bh_status = {
    WorkerInstance.call(
      .fakeQuantizeGradient, $0, $1,
      [bits($2), bits($3), bits($4), bits($5), bits($6), bits($7)])
  }

private let getExtension: PluginEntry.GetExtension = { id in
  guard let id, String(cString: id) == BH_EXT_QUANT_EXPORT else { return nil }
  return UnsafeRawPointer(quantExport)
}

/// Safety: written once before anyone sees it, and never freed.
private nonisolated(unsafe) let quantExport: UnsafePointer<bh_quant_export> = {
  let table = UnsafeMutablePointer<bh_quant_export>.allocate(capacity: 1)
  table.initialize(to: bh_quant_export())
  table.pointee.struct_size = UInt32(MemoryLayout<bh_quant_export>.size)
  table.pointee.packed_bytes = {
    WorkerInstance.call(.packedBytes, $0, $1, [bits($2), bits($3), bits($4)])
  }
  table.pointee.pack = {
    WorkerInstance.call(.pack, $0, $1, [bits($2), bits($3), bits($4), bits($5), bits($6)])
  }
  table.pointee.unpack = {
    WorkerInstance.call(.unpack, $0, $1, [bits($2), bits($3), bits($4), bits($5), bits($6)])
  }
  return UnsafePointer(table)
}()

private let dequantize5:
  @convention(c) (
    Bytes?, UnsafeMutablePointer<bh_call>?, UnsafePointer<bh_layer>?, UnsafePointer<bh_qlayout>?,
    UnsafePointer<bh_qparams>?, UnsafePointer<bh_tensor>?, UnsafePointer<bh_tensor>?
  ) -> bh_status = {
    WorkerInstance.call(.dequantize, $0, $1, [bits($2), bits($3), bits($4), bits($5), bits($6)])
  }
