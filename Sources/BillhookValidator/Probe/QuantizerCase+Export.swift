internal import BillhookSDK

extension ProbePlugin {
  /// What the plugin offers to store weights in a form of its own; nil for most.
  func quantExport() -> bh_quant_export? {
    guard let table = raw.get_extension?(BH_EXT_QUANT_EXPORT) else { return nil }
    return table.load(as: bh_quant_export.self)
  }
}

extension QuantizerCase {
  /// Packs a run and unpacks it again.
  func checkExport(
    _ subject: Subject, _ instance: ProbeInstance, _ export: bh_quant_export, _ run: Run,
    _ stored: OutputBytes
  ) throws {
    let arena = ProbeArena(Surroundings())
    func parameters(_ make: (OutputBytes) throws -> UnsafePointer<bh_tensor>) throws
      -> UnsafeMutablePointer<bh_qparams>
    {
      var all = bh_qparams()
      all.scale = try run["scale"].map(make)
      all.zero_point = try run["zero_point"].map(make)
      all.table = try run["table"].map(make)
      return try arena.structure(all)
    }
    let given = try parameters { try arena.input($0) }
    let taken = try parameters {
      try arena.output($0.name, shape: $0.shape, code: $0.code, bits: $0.bits)
    }
    let cLayout = try arena.structure(run.layout)
    let cLayer = try layer.structure(arena)
    let q = try arena.input(stored)
    let back = try arena.output("q", shape: stored.shape, code: stored.code, bits: 8)
    var size: UInt64 = 0
    let sized = instance.call(Surroundings(), layer: layer.context) { call in
      export.packed_bytes?(instance.pointer, call, cLayer, cLayout, &size) ?? BH_E_UNSUPPORTED
    }
    try subject.require(
      !sized.isFailure && size < 1 << 30,
      "\"packed_bytes\" of \(label) returned \(sized.described) and \(size) bytes")
    let packed = try arena.output("bytes", shape: [Int(size)], code: BH_CODE_UINT, bits: 8)
    let result = instance.call(Surroundings(), layer: layer.context) { call in
      let status =
        export.pack?(instance.pointer, call, cLayer, cLayout, given, q, packed)
        ?? BH_E_UNSUPPORTED
      guard status >= 0 else { return status }
      return export.unpack?(instance.pointer, call, cLayer, cLayout, packed, taken, back)
        ?? BH_E_UNSUPPORTED
    }
    try subject.require(
      !result.isFailure, "packing \(label) and unpacking it returned \(result.described)")
    let results = arena.results()
    for original in run.parameters + [stored] {
      try subject.require(
        results.first { $0.name == original.name }?.bytes == original.bytes,
        "\"\(original.name)\" of \(label) is another after packing and unpacking")
    }
  }
}
