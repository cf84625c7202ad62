internal import BillhookPluginKit
internal import BillhookSDK

/// A tensor cut into parts, each of which is [outer, count, inner] with a scale for each index of its
/// middle axis: the form of the kernels.
struct Blocks {
  struct Part {
    /// Where the part begins, and its first scale.
    var element: Int
    var scale: Int
    var outer: Int64
    var count: Int64
    var inner: Int64
  }

  let parts: [Part]

  init(_ layout: bh_qlayout, _ sizes: [Int]) {
    let all = sizes.reduce(1, *)
    func part(_ element: Int, _ scale: Int, _ outer: Int, _ count: Int, _ inner: Int) -> Part {
      Part(
        element: element, scale: scale, outer: Int64(outer), count: Int64(count),
        inner: Int64(inner))
    }
    let axis = Int(layout.axis)
    switch Int32(layout.granularity) {
    case BH_QGRANULARITY_AXIS where sizes.indices.contains(axis):
      let outer = sizes[..<axis].reduce(1, *)
      parts = [part(0, 0, outer, sizes[axis], sizes[(axis + 1)...].reduce(1, *))]
    case BH_QGRANULARITY_BLOCK where all > 0:
      let size = Int(layout.block_size)
      // Without an axis the tensor is one row.
      let shape = sizes.indices.contains(axis) ? sizes : [all]
      let cut = max(axis, 0)
      let inner = shape[(cut + 1)...].reduce(1, *)
      let blocks = (shape[cut] + size - 1) / size
      var found: [Part] = []
      for row in 0..<shape[..<cut].reduce(1, *) {
        let element = row * shape[cut] * inner
        let whole = shape[cut] / size
        if inner == 1, whole > 0 {
          // The whole blocks of a row lie side by side, a scale each.
          found.append(part(element, row * blocks, 1, whole, size))
        }
        for block in (inner == 1 ? whole : 0)..<blocks {
          let rows = min(size, shape[cut] - block * size)
          found.append(
            part(
              element + block * size * inner, (row * blocks + block) * inner, rows, inner, 1))
        }
      }
      parts = found
    default: parts = [part(0, 0, 1, 1, all)]
    }
  }
}
