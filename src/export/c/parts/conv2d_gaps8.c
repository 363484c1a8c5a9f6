// A convolution; of each output channel the kept weights, and how far each lies behind the one before, a byte each.
static void apply_conv2d_gaps8(const struct window *k, const float *x, float *y, const count *kept,
                               const uint8_t *gaps, const float *weight, const float *bias)
{
    for (int o = 0; o < k->out; o++) {
        int at = 0;
        fill(k, y, o, bias);
        for (count i = kept[o]; i > 0; i--) {
            at += *gaps++;
            add_tap(k, x, y, o, at, *weight++);
        }
    }
}
