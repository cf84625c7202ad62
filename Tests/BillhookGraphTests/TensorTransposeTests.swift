import BillhookGraph
import BillhookTensor
import BillhookTestSupport
import Testing

@Suite struct TensorTransposeTests {
  @Test(arguments: [[0, 1, 2], [1, 0, 2], [2, 1, 0], [0, 2, 1], [1, 2, 0]])
  func `each element arrives at its indices in the new order`(order: [Int]) {
    let shape = [2, 3, 4]
    let tensor = Tensor.counting(shape)
    let sizes = order.map { shape[$0] }
    var expected: [Float] = []
    for i in 0..<sizes[0] {
      for j in 0..<sizes[1] {
        for k in 0..<sizes[2] {
          var place = [0, 0, 0]
          for (axis, index) in zip(order, [i, j, k]) { place[axis] = index }
          expected.append(tensor.floats()[(place[0] * 3 + place[1]) * 4 + place[2]])
        }
      }
    }
    #expect(tensor.transposed(order) == Tensor(expected, shape: sizes))
  }

  @Test func `a number alone and nothing at all stay what they are`() {
    #expect(Tensor(scalar: Float(3)).transposed([]) == Tensor(scalar: Float(3)))
    #expect(Tensor(zeros: [0, 3]).transposed([1, 0]) == Tensor(zeros: [3, 0]))
  }
}
