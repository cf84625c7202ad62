internal import BillhookSDK

/// The C function tables of the hooks: one each serves every plugin written with this kit.
///
/// Safety of `nonisolated(unsafe)`: written once before anyone sees them, and never freed.
enum HookTables {
  nonisolated(unsafe) static let scorer: UnsafeRawPointer = {
    let table = UnsafeMutablePointer<bh_scorer>.allocate(capacity: 1)
    table.initialize(
      to: bh_scorer(
        struct_size: UInt32(MemoryLayout<bh_scorer>.size), reserved: 0,
        observe: { instance, call, layer, input, output, gradient in
          guarded(call) { (call) throws(HookFailure) in
            guard let hook = Instance<any ScorerHook>.of(instance) as? any ObservingHook else {
              throw HookFailure(BH_E_UNSUPPORTED, "the scorer does not observe")
            }
            try hook.observe(
              call, layer!.pointee, input: input?.pointee, output: output?.pointee,
              outputGradient: gradient?.pointee)
          }
        },
        merge: { instance, call, other in
          stateful(instance, call) { (hook, _) throws(HookFailure) in
            try hook.merge(try StateBytes.read(other))
          }
        },
        score: { instance, call, layer, input, scores in
          guarded(call) { (call) throws(HookFailure) in
            try Instance<any ScorerHook>.of(instance).score(
              call, layer!.pointee, input!.pointee, scores: scores!.pointee)
          }
        }))
    return UnsafeRawPointer(table)
  }()

  nonisolated(unsafe) static let loss: UnsafeRawPointer = {
    let table = UnsafeMutablePointer<bh_loss>.allocate(capacity: 1)
    table.initialize(
      to: bh_loss(
        struct_size: UInt32(MemoryLayout<bh_loss>.size), reserved: 0,
        compute: { instance, call, io in
          guarded(call) { (call) throws(HookFailure) in
            try Instance<any LossHook>.of(instance).compute(call, io!.pointee)
          }
        }))
    return UnsafeRawPointer(table)
  }()

  /// What a quantizer leaves out must be null: the host acts on it.
  static func quantizer(observes: Bool, trains: Bool) -> UnsafeRawPointer {
    let table = UnsafeMutablePointer<bh_quantizer>.allocate(capacity: 1)
    table.initialize(to: quantizer)
    if observes {
      table.pointee.observe = { instance, call, layer, x in
        guarded(call) { (call) throws(HookFailure) in
          try Instance<any QuantizerHook>.of(instance).observe(
            call, layer!.pointee, x: x!.pointee)
        }
      }
    }
    if trains {
      table.pointee.fake_quant = { instance, call, layer, layout, parameters, x, y in
        guarded(call) { (call) throws(HookFailure) in
          try Instance<any QuantizerHook>.of(instance).fakeQuantize(
            call, layer!.pointee, layout!.pointee, parameters!.pointee, x: x!.pointee,
            y: y!.pointee)
        }
      }
      table.pointee.fake_quant_grad = { instance, call, layer, layout, parameters, x, dy, dx in
        guarded(call) { (call) throws(HookFailure) in
          try Instance<any QuantizerHook>.of(instance).fakeQuantizeGradient(
            call, layer!.pointee, layout!.pointee, parameters!.pointee, x: x!.pointee,
            gradY: dy!.pointee, gradX: dx!.pointee)
        }
      }
    }
    return UnsafeRawPointer(table)
  }

  private static var quantizer: bh_quantizer {
    bh_quantizer(
      struct_size: UInt32(MemoryLayout<bh_quantizer>.size), reserved: 0,
      layout: { instance, call, layer, out in
        guarded(call) { (call) throws(HookFailure) in
          try Instance<any QuantizerHook>.of(instance).layout(
            call, layer!.pointee, &out!.pointee)
        }
      },
      observe: nil,
      calibrate: { instance, call, layer, layout, x, out in
        guarded(call) { (call) throws(HookFailure) in
          try Instance<any QuantizerHook>.of(instance).calibrate(
            call, layer!.pointee, layout!.pointee, x: x!.pointee, out: out!.pointee)
        }
      },
      quantize: { instance, call, layer, layout, parameters, x, q in
        guarded(call) { (call) throws(HookFailure) in
          try Instance<any QuantizerHook>.of(instance).quantize(
            call, layer!.pointee, layout!.pointee, parameters!.pointee, x: x!.pointee,
            q: q!.pointee)
        }
      },
      dequantize: { instance, call, layer, layout, parameters, q, x in
        guarded(call) { (call) throws(HookFailure) in
          try Instance<any QuantizerHook>.of(instance).dequantize(
            call, layer!.pointee, layout!.pointee, parameters!.pointee, q: q!.pointee,
            x: x!.pointee)
        }
      },
      fake_quant: nil, fake_quant_grad: nil)
  }
}
