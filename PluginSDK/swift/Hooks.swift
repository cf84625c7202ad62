public import BillhookSDK

/// A scorer in Swift; see `bh_scorer` for what its function must do.
public protocol ScorerHook: AnyObject {
  func score(
    _ call: HostCall, _ layer: bh_layer, _ input: bh_score_in, scores: bh_tensor
  ) throws(HookFailure)
}

/// A scorer that looks at the data: it declares a RAW need. See `bh_scorer.observe`.
public protocol ObservingHook: ScorerHook, StatefulHook {
  func observe(
    _ call: HostCall, _ layer: bh_layer, input: bh_tensor?, output: bh_tensor?,
    outputGradient: bh_tensor?
  ) throws(HookFailure)
}

/// A hook whose instances keep what they learn from one call to the next.
public protocol StatefulHook: AnyObject {
  /// Forgets all of it; parameters stay.
  func reset() throws(HookFailure)
  func save() throws(HookFailure) -> [UInt8]
  /// - Throws: ``HookFailure`` with `BH_E_BAD_STATE` for bytes or a version that it cannot read.
  func load(_ bytes: [UInt8], version: UInt32) throws(HookFailure)
  /// Adds what another instance saved; only called with `BH_CAP_MERGEABLE`.
  func merge(_ other: [UInt8]) throws(HookFailure)
}

extension StatefulHook {
  public func merge(_ other: [UInt8]) throws(HookFailure) {
    throw HookFailure(BH_E_UNSUPPORTED, "states of this scorer cannot be merged")
  }
}

/// A loss in Swift; see `bh_loss`.
public protocol LossHook: AnyObject {
  func compute(_ call: HostCall, _ io: bh_loss_io) throws(HookFailure)
}

/// A quantizer in Swift; see `bh_quantizer`.
public protocol QuantizerHook: AnyObject {
  func layout(_ call: HostCall, _ layer: bh_layer, _ layout: inout bh_qlayout) throws(HookFailure)
  func calibrate(
    _ call: HostCall, _ layer: bh_layer, _ layout: bh_qlayout, x: bh_tensor, out: bh_qparams
  ) throws(HookFailure)
  func quantize(
    _ call: HostCall, _ layer: bh_layer, _ layout: bh_qlayout, _ parameters: bh_qparams,
    x: bh_tensor, q: bh_tensor
  ) throws(HookFailure)
  func dequantize(
    _ call: HostCall, _ layer: bh_layer, _ layout: bh_qlayout, _ parameters: bh_qparams,
    q: bh_tensor, x: bh_tensor
  ) throws(HookFailure)
  /// Called only when the plugin is declared with `observes`.
  func observe(_ call: HostCall, _ layer: bh_layer, x: bh_tensor) throws(HookFailure)
  /// Called only when the plugin is declared with `trains`.
  func fakeQuantize(
    _ call: HostCall, _ layer: bh_layer, _ layout: bh_qlayout, _ parameters: bh_qparams,
    x: bh_tensor, y: bh_tensor
  ) throws(HookFailure)
  /// Called only when the plugin is declared with `trains`.
  func fakeQuantizeGradient(
    _ call: HostCall, _ layer: bh_layer, _ layout: bh_qlayout, _ parameters: bh_qparams,
    x: bh_tensor, gradY: bh_tensor, gradX: bh_tensor
  ) throws(HookFailure)
}

extension QuantizerHook {
  public func observe(_ call: HostCall, _ layer: bh_layer, x: bh_tensor) throws(HookFailure) {
    throw HookFailure(BH_E_UNSUPPORTED, "the plugin does not observe activations")
  }

  public func fakeQuantize(
    _ call: HostCall, _ layer: bh_layer, _ layout: bh_qlayout, _ parameters: bh_qparams,
    x: bh_tensor, y: bh_tensor
  ) throws(HookFailure) {
    throw HookFailure(BH_E_UNSUPPORTED, "the plugin has no fake quantization of its own")
  }

  public func fakeQuantizeGradient(
    _ call: HostCall, _ layer: bh_layer, _ layout: bh_qlayout, _ parameters: bh_qparams,
    x: bh_tensor, gradY: bh_tensor, gradX: bh_tensor
  ) throws(HookFailure) {
    throw HookFailure(BH_E_UNSUPPORTED, "the plugin has no gradient of its own")
  }
}

/// What `self` points at on the C side. A box, because C can hold a class but not an existential.
final class Instance<Hook> {
  let hook: Hook
  init(_ hook: Hook) { self.hook = hook }

  static func of(_ pointer: UnsafeMutableRawPointer?) -> Hook {
    Unmanaged<Instance<Hook>>.fromOpaque(pointer!).takeUnretainedValue().hook
  }
}

/// Runs the body of a C function and turns what it throws into a status.
func guarded(
  _ call: UnsafeMutablePointer<bh_call>?, _ body: (HostCall) throws(HookFailure) -> Void
) -> bh_status {
  guard let call else { return BH_E_INVALID_ARG }
  do throws(HookFailure) {
    try body(HostCall(call))
    return BH_OK
  } catch {
    guard var message = error.message else { return error.status }
    return message.withUTF8 { bytes in
      bytes.withMemoryRebound(to: CChar.self) { text in
        call.pointee.host.pointee.fail(
          call, error.status, text.baseAddress, UInt64(text.count))
      }
    }
  }
}

func create<Hook>(
  _ call: UnsafeMutablePointer<bh_call>?, _ values: UnsafePointer<bh_value>?,
  _ out: UnsafeMutablePointer<UnsafeMutableRawPointer?>?,
  _ make: (ParameterValues) throws(HookFailure) -> Hook
) -> bh_status {
  guarded(call) { (_) throws(HookFailure) in
    let instance = Instance(try make(ParameterValues(values)))
    out?.pointee = Unmanaged.passRetained(instance).toOpaque()
  }
}

/// For the body of a scorer's `create` function, which C's rules keep from being generic.
public func createScorer(
  _ call: UnsafeMutablePointer<bh_call>?, _ values: UnsafePointer<bh_value>?,
  _ out: UnsafeMutablePointer<UnsafeMutableRawPointer?>?,
  _ make: (ParameterValues) throws(HookFailure) -> any ScorerHook
) -> bh_status { create(call, values, out, make) }

/// The same for a loss.
public func createLoss(
  _ call: UnsafeMutablePointer<bh_call>?, _ values: UnsafePointer<bh_value>?,
  _ out: UnsafeMutablePointer<UnsafeMutableRawPointer?>?,
  _ make: (ParameterValues) throws(HookFailure) -> any LossHook
) -> bh_status { create(call, values, out, make) }

/// The same for a quantizer.
public func createQuantizer(
  _ call: UnsafeMutablePointer<bh_call>?, _ values: UnsafePointer<bh_value>?,
  _ out: UnsafeMutablePointer<UnsafeMutableRawPointer?>?,
  _ make: (ParameterValues) throws(HookFailure) -> any QuantizerHook
) -> bh_status { create(call, values, out, make) }
