// A convolution; a bit for each weight says whether it is kept, and weight has those that are.
static void apply_conv2d_bits(const struct window *k, const float *x, float *y, const uint8_t *bits,
                              const float *weight, const float *bias)
{
    const int inputs = k->channels / k->groups * k->kernel * k->kernel;
    for (int o = 0; o < k->out; o++, bits += (inputs + 7) / 8) {
        fill(k, y, o, bias);
        for (int i = 0; i < inputs; i++)
            if ((bits[i / 8] >> (i % 8)) & 1)
                add_tap(k, x, y, o, i, *weight++);
    }
}
