internal import BillhookPlugins
internal import BillhookSDK

/// Tests of layouts, integers and what comes back from them.
extension ConformanceTest {
  static let quantizerTests: [ConformanceTest] = [
    ConformanceTest(
      "layout-consistent", .core, .quantizer, "BH-60",
      "a layout is legal for its tensor, and the same when asked again"
    ) { subject in
      let plugin = try subject.plugin()
      for item in QuantizerCase.ordinary {
        let instance = try ProbeInstance(plugin)
        defer { instance.end() }
        let (first, observation) = try item.layout(instance, Surroundings())
        guard observation.status == BH_OK else { continue }
        if let problem = item.problem(first) {
          throw Violation("the layout of \(item.label) is illegal: \(problem)")
        }
        let (second, _) = try item.layout(instance, Surroundings())
        try subject.require(
          bytes(first) == bytes(second),
          "the layout of \(item.label) is another one when asked again")
      }
    },
    test(
      "scale-positive-finite", "BH-61", "scales are finite and above 0, tables finite"
    ) { item, _, run in
      for (index, scale) in (run["scale"]?.floats ?? []).enumerated()
      where !(scale.isFinite && scale > 0) {
        return "scale \(index) of \(item.label) is \(scale)"
      }
      for (index, value) in (run["table"]?.floats ?? []).enumerated() where !value.isFinite {
        return "entry \(index) of the table of \(item.label) is \(value)"
      }
      return nil
    },
    test(
      "zero-point-in-range", "BH-61", "zero points are 0 when symmetric, else from qmin to qmax"
    ) { item, _, run in
      for (index, zero) in integers(run["zero_point"]).enumerated() {
        let isLegal =
          run.layout.symmetric == 1
          ? zero == 0 : run.layout.qmin <= zero && zero <= run.layout.qmax
        if !isLegal {
          return "zero point \(index) of \(item.label) is \(zero), for \(run.layout.qmin) to "
            + "\(run.layout.qmax), symmetric \(run.layout.symmetric)"
        }
      }
      return nil
    },
    test("values-in-range", "BH-62", "all integers are from qmin to qmax") { item, _, run in
      guard run.layout.formula != UInt32(BH_QFORMULA_OPAQUE) else { return nil }
      for (index, q) in integers(run.stored).enumerated()
      where q < run.layout.qmin || q > run.layout.qmax {
        return "integer \(index) of \(item.label) is \(q), for \(run.layout.qmin) to "
          + "\(run.layout.qmax)"
      }
      return nil
    },
    test(
      "roundtrip-error", "BH-63", "affine values inside of the range come back within half a scale"
    ) { item, x, run in
      guard let affine = Affine(item, run), let restored = run.restored?.floats else { return nil }
      for (index, value) in x.enumerated() where affine.isInside(value, index) {
        let bound = affine.scale(index) * 0.5 * (1 + 1e-5) + abs(value) * 1e-6
        let error = abs(restored[index] - value)
        if !(error <= bound) {
          return
            "value \(index) of \(item.label) is \(value) and comes back as \(restored[index]); "
            + "the scale is \(affine.scale(index))"
        }
      }
      return nil
    },
    ConformanceTest(
      "idempotent", .core, .quantizer, "BH-63", "quantizing what comes back gives the same integers"
    ) { subject in
      try eachRun(subject) { item, instance, _, run in
        guard let restored = run.restored?.floats, let stored = run.stored,
          Affine(item, run) != nil
        else { return }
        let again = try item.quantize(
          instance, run.layout, run.parameters, restored, Surroundings())
        try subject.require(
          again["q"]?.bytes == stored.bytes,
          "the integers of \(item.label) are others after a round trip")
      }
    },
    values(
      "constant-tensor", "a tensor of one value is quantized and comes back finite"
    ) { count in [Float](repeating: 0.75, count: count) },
    values("zero-tensor", "zeros come back as zeros") { count in
      [Float](repeating: 0, count: count)
    },
    ConformanceTest(
      "axis-block-sweep", .core, .quantizer, "BH-60",
      "sizes around a block or an axis, and few bits, give a legal layout and finite values"
    ) { subject in
      let plugin = try subject.plugin()
      guard try !plugin.workingExercises().isEmpty else { return }
      for columns in [1, 15, 16, 17, 31, 32, 33, 63, 64, 65, 129] {
        for bits in [UInt32(8), 4] {
          var item = QuantizerCase(LayerCase([3, columns]))
          item.maxBits = bits
          let instance = try ProbeInstance(plugin)
          defer { instance.end() }
          let (layout, observation) = try item.layout(instance, Surroundings())
          guard observation.status == BH_OK else { continue }
          try item.checkUsable(layout)
          let isAffine = layout.formula == UInt32(BH_QFORMULA_AFFINE)
          try subject.require(
            !isAffine || layout.qmax - layout.qmin < Int64(1) << Int64(bits),
            "the layout of \(item.label) goes from \(layout.qmin) to \(layout.qmax) with at most "
              + "\(bits) bits")
          let run = try item.run(instance, item.values(Numbers(seed: plugin.seed)), Surroundings())
          try subject.require(
            !run.observation.isFailure, "\(item.label) returned \(run.observation.described)")
          try subject.require(
            run.restored?.floats.allSatisfy(\.isFinite) ?? true,
            "\(item.label) comes back with values that are not finite")
        }
      }
    },
    test(
      "qdq-dequant-exact", "BH-64",
      "with BH_QEXPORT_DEQUANT_EXACT, float32 arithmetic by the formula is \"dequantize\" to the bit"
    ) { item, _, run in
      guard run.layout.export_flags & BH_QEXPORT_DEQUANT_EXACT != 0,
        let restored = run.restored?.floats, let stored = run.stored,
        let scales = run["scale"]?.floats
      else { return nil }
      let places = item.scaleIndices(run.layout)
      let zeros = integers(run["zero_point"])
      let table = run["table"]?.floats
      for (index, q) in integers(stored).enumerated() {
        let scale = scales[places[index]]
        let expected: Float
        if let table {
          guard table.indices.contains(Int(q)) else { continue }
          expected = table[Int(q)] * scale
        } else {
          expected = Float(q - zeros[places[index]]) * scale
        }
        if expected.bitPattern != restored[index].bitPattern, expected != restored[index] {
          return "value \(index) of \(item.label) is \(restored[index]); the formula gives "
            + "\(expected)"
        }
      }
      return nil
    },
    test(
      "qdq-quant-exact", "BH-64",
      "with BH_QEXPORT_QUANT_EXACT, ONNX QuantizeLinear is \"quantize\" to the bit"
    ) { item, x, run in
      guard run.layout.export_flags & BH_QEXPORT_QUANT_EXACT != 0, let affine = Affine(item, run)
      else { return nil }
      for (index, q) in integers(run.stored).enumerated() {
        let expected = affine.quantized(x[index], index)
        if q != expected {
          return "integer \(index) of \(item.label) is \(q); QuantizeLinear of \(x[index]) by "
            + "\(affine.scale(index)) gives \(expected)"
        }
      }
      return nil
    },
    ConformanceTest(
      "pack-unpack", .core, .quantizer, "BH-65",
      "what \"pack\" of billhook.quant-export/1 writes, \"unpack\" reads back to the bit"
    ) { subject in
      let plugin = try subject.plugin()
      guard let export = plugin.quantExport() else {
        throw NotApplicable("the plugin has no billhook.quant-export/1")
      }
      for columns in [1, 2, 3, 15, 31, 32, 33, 65] {
        let item = QuantizerCase(LayerCase([3, columns]))
        let instance = try ProbeInstance(plugin)
        defer { instance.end() }
        let run = try item.run(instance, item.values(Numbers(seed: plugin.seed)), Surroundings())
        guard let stored = run.stored, !run.observation.isFailure else { continue }
        try item.checkExport(subject, instance, export, run, stored)
      }
    },
    ConformanceTest(
      "fake-quant-consistent", .core, .quantizer, "BH-66",
      "\"fake_quant\" gives what \"dequantize\" of \"quantize\" gives"
    ) { subject in
      var count = 0
      try eachRun(subject) { item, instance, x, run in
        guard let restored = run.restored?.floats,
          let fake = try item.fakeQuantize(
            instance, run.layout, run.parameters, x, Surroundings())
        else { return }
        count += 1
        try subject.require(
          !fake.isFailure, "\"fake_quant\" of \(item.label) returned \(fake.described)")
        for (index, value) in (fake["y"]?.floats ?? []).enumerated() {
          let bound = 1e-6 * max(abs(value), abs(restored[index]), 1e-6)
          try subject.require(
            abs(value - restored[index]) <= bound,
            "\"fake_quant\" gives \(value) for value \(index) of \(item.label); quantize and "
              + "dequantize give \(restored[index])")
        }
      }
      if count == 0 { throw NotApplicable("the plugin has no \"fake_quant\"") }
    },
    ConformanceTest(
      "ste-gradient", .strict, .quantizer, "BH-66",
      "\"fake_quant_grad\" lets the gradient through inside of the range and not outside"
    ) { subject in
      var count = 0
      try eachRun(subject) { item, instance, x, run in
        guard let affine = Affine(item, run) else { return }
        let above = [Float](repeating: 1, count: x.count)
        let wide = x.enumerated().map { $0 % 4 == 3 ? $1 * 100 : $1 }
        guard
          let observation = try item.fakeQuantizeGradient(
            instance, run.layout, run.parameters, wide, above, Surroundings())
        else { return }
        count += 1
        try subject.require(
          !observation.isFailure,
          "\"fake_quant_grad\" of \(item.label) returned \(observation.described)")
        for (index, gradient) in (observation["grad_x"]?.floats ?? []).enumerated() {
          // Half a step beside the border belongs to either side.
          let position = Double(wide[index]) / Double(affine.scale(index)) + affine.zero(index)
          if position > Double(run.layout.qmax) + 1 || position < Double(run.layout.qmin) - 1 {
            try subject.require(
              gradient == 0,
              "the gradient of value \(index) of \(item.label), outside of the range, is \(gradient)"
            )
          } else if affine.isInside(wide[index], index) {
            try subject.require(
              gradient.isFinite && gradient > 0,
              "the gradient of value \(index) of \(item.label), inside of the range, is \(gradient)"
            )
          }
        }
      }
      if count == 0 { throw NotApplicable("the plugin has no \"fake_quant_grad\"") }
    },
  ]

  // MARK: - Forms that several tests have

  /// Quantizes the ordinary tensors and hands on what came of it.
  static func eachRun(
    _ subject: Subject,
    _ body: (QuantizerCase, ProbeInstance, [Float], QuantizerCase.Run) throws -> Void
  ) throws {
    let plugin = try subject.plugin()
    guard try !plugin.workingExercises().isEmpty else { return }
    var lopsided = QuantizerCase.ordinary
    for index in lopsided.indices { lopsided[index].isLopsided = true }
    for item in QuantizerCase.ordinary + lopsided {
      let instance = try ProbeInstance(plugin)
      defer { instance.end() }
      let x = item.values(Numbers(seed: plugin.seed))
      let run = try item.run(instance, x, Surroundings())
      guard !run.observation.isFailure else { continue }
      try body(item, instance, x, run)
    }
  }

  private static func test(
    _ name: String, _ rule: String, _ claim: String,
    _ problem: @escaping @Sendable (QuantizerCase, [Float], QuantizerCase.Run) -> String?
  ) -> ConformanceTest {
    ConformanceTest(name, .core, .quantizer, rule, claim) { subject in
      try eachRun(subject) { item, _, x, run in
        if let problem = problem(item, x, run) { throw Violation(problem) }
      }
    }
  }

  private static func values(
    _ name: String, _ claim: String, _ make: @escaping @Sendable (Int) -> [Float]
  ) -> ConformanceTest {
    ConformanceTest(name, .core, .quantizer, "BH-63", claim) { subject in
      let plugin = try subject.plugin()
      guard try !plugin.workingExercises().isEmpty else { return }
      for item in QuantizerCase.ordinary {
        let instance = try ProbeInstance(plugin)
        defer { instance.end() }
        let x = make(item.layer.count)
        let run = try item.run(instance, x, Surroundings())
        try subject.require(
          !run.observation.isFailure, "\(item.label) returned \(run.observation.described)")
        guard let restored = run.restored?.floats else { continue }
        for (index, value) in restored.enumerated() {
          let isExact = x[index] != 0 || value == 0
          try subject.require(
            value.isFinite && isExact,
            "value \(index) of \(item.label) is \(x[index]) and comes back as \(value)")
        }
      }
    }
  }

  /// Fields one by one: padding has no value.
  private static func bytes(_ layout: bh_qlayout) -> [UInt8] {
    withUnsafeBytes(of: layout) { Array($0) }
  }
}

/// Integers of one byte, with their sign.
private func integers(_ output: OutputBytes?) -> [Int64] {
  guard let output else { return [] }
  return output.code == BH_CODE_INT
    ? output.values(Int8.self).map(Int64.init) : output.values(UInt8.self).map(Int64.init)
}

/// The affine formula of a run, in the host's own arithmetic.
private struct Affine {
  let layout: bh_qlayout
  private let scales: [Float]
  private let zeros: [Int64]
  private let places: [Int]

  init?(_ item: QuantizerCase, _ run: QuantizerCase.Run) {
    guard run.layout.formula == UInt32(BH_QFORMULA_AFFINE), run.observation.status == BH_OK,
      let scales = run["scale"]?.floats, scales.allSatisfy({ $0.isFinite && $0 > 0 })
    else { return nil }
    layout = run.layout
    self.scales = scales
    zeros = integers(run["zero_point"])
    places = item.scaleIndices(layout)
  }

  func scale(_ index: Int) -> Float { scales[places[index]] }
  func zero(_ index: Int) -> Double { Double(zeros[places[index]]) }

  func isInside(_ value: Float, _ index: Int) -> Bool {
    let position = Double(value) / Double(scale(index)) + zero(index)
    return position >= Double(layout.qmin) && position <= Double(layout.qmax)
  }

  func quantized(_ value: Float, _ index: Int) -> Int64 {
    let rounded = (value / scale(index)).rounded(.toNearestOrEven)
    let shifted = rounded + Float(zeros[places[index]])
    guard !shifted.isNaN else { return layout.qmin }
    return Int64(min(max(shifted, Float(layout.qmin)), Float(layout.qmax)))
  }
}
