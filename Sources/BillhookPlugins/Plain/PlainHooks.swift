internal import BillhookKernels
internal import BillhookSDK

/// Plain functions behind the ABI's own tables, so that the host calls them as any plugin.
enum PlainHooks {
  /// The functions of a plain plugin of this kind; which plugin it is, the call knows.
  static func functions(_ hook: PluginDescriptor.Hook) -> HookFunctions {
    switch hook {
    case .scorer: .scorer(scorer)
    case .loss: .loss(loss)
    case .quantizer: .quantizer(quantizer)
    }
  }

  static let create: PluginEntry.Create = { call, values, out in
    guard let context = CallContext.of(call), let functions = context.plugin.entry.plain else {
      return BH_E_INTERNAL
    }
    var given: [ParameterValue] = []
    for (index, parameter) in functions.plugin.parameters.enumerated() {
      guard let value = values?[index] else { return BH_E_INVALID_ARG }
      given.append(
        parameter.kind == .double
          ? .double(value.u.f64)
          : parameter.kind == .bool ? .bool(value.u.i64 != 0) : .int(value.u.i64))
    }
    return guarded(call) { () throws(PlainFault) in
      let instance = try PlainInstance(
        functions, given, seed: context.seed, threads: Int(bh_thread_count()))
      out?.pointee = Unmanaged.passRetained(instance).toOpaque()
    }
  }

  static let destroy: PluginEntry.Destroy = { instance in
    guard let instance else { return }
    Unmanaged<PlainInstance>.fromOpaque(instance).release()
  }

  private static var scorer: bh_scorer {
    var table = bh_scorer()
    table.struct_size = UInt32(MemoryLayout<bh_scorer>.size)
    table.score = { instance, call, layer, input, scores in
      PlainHooks.guarded(call) { () throws(PlainFault) in
        try PlainHooks.of(instance).score(
          layer!.pointee, input!.pointee, scores!.pointee,
          isCancelled: { PlainHooks.isCancelled(call) })
      }
    }
    return table
  }

  private static var loss: bh_loss {
    var table = bh_loss()
    table.struct_size = UInt32(MemoryLayout<bh_loss>.size)
    table.compute = { instance, call, io in
      PlainHooks.guarded(call) { () throws(PlainFault) in
        try PlainHooks.of(instance).compute(
          io!.pointee, isCancelled: { PlainHooks.isCancelled(call) })
      }
    }
    return table
  }

  private static var quantizer: bh_quantizer {
    var table = bh_quantizer()
    table.struct_size = UInt32(MemoryLayout<bh_quantizer>.size)
    table.layout = { instance, call, layer, out in
      PlainHooks.guarded(call) { () throws(PlainFault) in
        try PlainHooks.of(instance).layout(layer!.pointee, &out!.pointee)
      }
    }
    table.calibrate = { instance, call, _, layout, values, out in
      PlainHooks.guarded(call) { () throws(PlainFault) in
        try PlainHooks.of(instance).calibrate(
          layout!.pointee, values!.pointee, out!.pointee,
          isCancelled: { PlainHooks.isCancelled(call) })
      }
    }
    table.quantize = { instance, call, _, layout, parameters, values, packed in
      PlainHooks.guarded(call) { () throws(PlainFault) in
        try PlainHooks.of(instance).quantize(
          layout!.pointee, parameters?.pointee, values!.pointee, packed!.pointee,
          isCancelled: { PlainHooks.isCancelled(call) })
      }
    }
    table.dequantize = { instance, call, _, layout, parameters, packed, values in
      PlainHooks.guarded(call) { () throws(PlainFault) in
        try PlainHooks.of(instance).dequantize(
          layout!.pointee, parameters?.pointee, packed!.pointee, values!.pointee,
          isCancelled: { PlainHooks.isCancelled(call) })
      }
    }
    return table
  }

  private static func of(_ instance: UnsafeMutableRawPointer?) -> PlainInstance {
    Unmanaged<PlainInstance>.fromOpaque(instance!).takeUnretainedValue()
  }

  private static func isCancelled(_ call: UnsafeMutablePointer<bh_call>?) -> Bool {
    guard let call, let cancelled = call.pointee.host.pointee.cancelled else { return false }
    return cancelled(call) != 0
  }

  /// A fault becomes the call's failure.
  private static func guarded(
    _ call: UnsafeMutablePointer<bh_call>?, _ body: () throws(PlainFault) -> Void
  ) -> bh_status {
    do throws(PlainFault) {
      try body()
      return BH_OK
    } catch {
      guard let call, let fail = call.pointee.host.pointee.fail else { return BH_E_INTERNAL }
      var text = error.reason
      return text.withUTF8 { bytes in
        bytes.withMemoryRebound(to: CChar.self) {
          fail(call, BH_E_INTERNAL, $0.baseAddress, UInt64($0.count))
        }
      }
    }
  }
}
