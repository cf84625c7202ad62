internal import BillhookGraph
internal import BillhookKernels

extension Window {
  /// The window as the kernel core takes it.
  func kernelForm(groups: Int = 1) -> bh_window {
    func triple(_ values: [Int], _ filler: Int64) -> (Int64, Int64, Int64) {
      func at(_ index: Int) -> Int64 { index < values.count ? Int64(values[index]) : filler }
      return (at(0), at(1), at(2))
    }
    return bh_window(
      spatial_axes: Int64(kernel.count), kernel: triple(kernel, 1), stride: triple(strides, 1),
      dilation: triple(dilations, 1), pad_begin: triple(padsBegin, 0),
      pad_end: triple(padsEnd, 0), groups: Int64(groups))
  }
}

/// A convolution's window together with its number of groups.
struct Convolving: Equatable {
  var window: Window
  var groups: Int
  var kernelForm: bh_window { window.kernelForm(groups: groups) }

  init(window: Window, groups: Int) {
    self.window = window
    self.groups = groups
  }

  /// A Conv's or ConvInteger's.
  ///
  /// - Parameters:
  ///   - weight: Shape of the weights, `[O, I / groups, K...]`.
  ///   - input: The sizes of the input's spatial axes.
  init(_ node: Node, weight: [Int], input: [Int]) throws(RuntimeError) {
    do {
      window = try Window(node, kernel: Array(weight.dropFirst(2)), input: input)
    } catch {
      throw .graph(error)
    }
    groups = node.int("group", default: 1)
  }
}
