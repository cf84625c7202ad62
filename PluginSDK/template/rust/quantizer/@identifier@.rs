//! @name@: a quantizer. Symmetric integers with a scale for each output channel of a weight, and
//! one scale for an activation.
use billhook::{
    bh_layer, bh_qlayout, bh_qparams, bh_tensor, Call, Failure, Instance, Outcome, Quantizer, Values,
};

struct Symmetric;

impl Instance for Symmetric {
    fn new(_: &Values) -> Result<Self, Failure> { Ok(Self) }
}

/// A tensor seen as [outer, count, inner] around the axis that has a scale an index.
fn around(layout: &bh_qlayout, x: &bh_tensor) -> (i64, i64, i64) {
    if layout.axis < 0 {
        return (1, 1, x.count() as i64);
    }
    let (before, rest) = x.sizes().split_at(layout.axis as usize);
    (before.iter().product(), rest[0], rest[1..].iter().product())
}

impl Quantizer for Symmetric {
    fn layout(&self, _: Call, layer: &bh_layer, layout: &mut bh_qlayout) -> Outcome {
        let by_channel = layer.role == billhook::ROLE_WEIGHT && layer.out_axis >= 0;
        layout.formula = billhook::QFORMULA_AFFINE;
        layout.q_code = billhook::CODE_INT as u8;
        layout.q_bits = 8;
        layout.qmax = (1 << (layout.max_bits - 1)) - 1;
        layout.qmin = -layout.qmax;
        layout.symmetric = 1;
        layout.granularity =
            if by_channel { billhook::QGRANULARITY_AXIS } else { billhook::QGRANULARITY_TENSOR };
        layout.axis = if by_channel { layer.out_axis } else { -1 };
        layout.export_flags = billhook::QEXPORT_DEQUANT_EXACT | billhook::QEXPORT_QUANT_EXACT;
        Ok(())
    }

    fn calibrate(
        &self, call: Call, layer: &bh_layer, layout: &bh_qlayout, x: &bh_tensor, out: &bh_qparams,
    ) -> Outcome {
        let kernels = call.kernels()?;
        let (outer, count, inner) = around(layout, x);
        let mut zero_points = vec![0; count as usize];
        unsafe {
            let values = x.elements::<f32>();
            let (low, high) = if layer.role == billhook::ROLE_ACTIVATION {
                // Calibration has found the lowest and the highest value already.
                (vec![values[0]], vec![values[1]])
            } else {
                let (mut low, mut high) = (vec![0.0; count as usize], vec![0.0; count as usize]);
                call.check((kernels.min_max)(
                    call.pointer(), values.as_ptr(), outer, count, inner, low.as_mut_ptr(),
                    high.as_mut_ptr()))?;
                (low, high)
            };
            (*out.zero_point).elements_mut::<i8>().fill(0);
            call.check((kernels.affine_params)(
                call.pointer(), low.as_ptr(), high.as_ptr(), count, layout.qmin as i32,
                layout.qmax as i32, layout.symmetric,
                (*out.scale).elements_mut::<f32>().as_mut_ptr(), zero_points.as_mut_ptr()))
        }
    }

    fn quantize(
        &self, call: Call, _: &bh_layer, layout: &bh_qlayout, params: &bh_qparams, x: &bh_tensor,
        q: &bh_tensor,
    ) -> Outcome {
        let (outer, count, inner) = around(layout, x);
        let zero_points = vec![0; count as usize];
        let kernels = call.kernels()?;
        call.check(unsafe {
            (kernels.affine_quantize)(
                call.pointer(), x.elements::<f32>().as_ptr(), outer, count, inner,
                (*params.scale).elements::<f32>().as_ptr(), zero_points.as_ptr(),
                layout.qmin as i32, layout.qmax as i32, layout.q_code as u32, q.data)
        })
    }

    fn dequantize(
        &self, call: Call, _: &bh_layer, layout: &bh_qlayout, params: &bh_qparams, q: &bh_tensor,
        x: &bh_tensor,
    ) -> Outcome {
        let (outer, count, inner) = around(layout, q);
        let zero_points = vec![0; count as usize];
        let kernels = call.kernels()?;
        call.check(unsafe {
            (kernels.affine_dequantize)(
                call.pointer(), q.data, layout.q_code as u32, outer, count, inner,
                (*params.scale).elements::<f32>().as_ptr(), zero_points.as_ptr(),
                x.elements_mut::<f32>().as_mut_ptr())
        })
    }
}

billhook::module!(
    "org.example.@name@.module", "1.0.0", "Example", "0BSD",
    [billhook::quantizer::<Symmetric>("org.example.@name@")
        .name("@name@")
        .summary("Symmetric integers with a scale for each output channel.")
        .caps(billhook::CAP_DETERMINISTIC | billhook::CAP_CONCURRENT)]
);
