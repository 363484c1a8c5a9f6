// A convolution; weight is (out, channels of a group, kernel, kernel).
static void apply_conv2d_dense(const struct window *k, const float *x, float *y, const float *weight,
                               const float *bias)
{
    const int inputs = k->channels / k->groups * k->kernel * k->kernel;
    for (int o = 0; o < k->out; o++) {
        fill(k, y, o, bias);
        for (int i = 0; i < inputs; i++)
            add_tap(k, x, y, o, i, *weight++);
    }
}
