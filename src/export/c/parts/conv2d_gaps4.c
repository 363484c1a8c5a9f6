// A convolution; of each output channel the kept weights, and how far each lies behind the one before, four bits each,
// the first of two in the lower half of a byte.
static void apply_conv2d_gaps4(const struct window *k, const float *x, float *y, const count *kept,
                               const uint8_t *gaps, const float *weight, const float *bias)
{
    int n = 0;
    for (int o = 0; o < k->out; o++) {
        int at = 0;
        fill(k, y, o, bias);
        for (count i = kept[o]; i > 0; i--, n++) {
            at += (gaps[n / 2] >> (n % 2 * 4)) & 15;
            add_tap(k, x, y, o, at, weight[n]);
        }
    }
}
