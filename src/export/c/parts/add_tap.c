// Adds to output channel o what its weight number `at` of (channels of a group, kernel, kernel) is multiplied with.
static void add_tap(const struct window *k, const float *x, float *y, int o, int at, float weight)
{
    const int taps = k->kernel * k->kernel;
    const int channel = o / (k->out / k->groups) * (k->channels / k->groups) + at / taps;
    const int top = at % taps / k->kernel * k->dilation - k->padding;
    const int left = at % k->kernel * k->dilation - k->padding;
    x += channel * k->height * k->width;
    y += o * k->out_height * k->out_width;
    for (int row = 0; row < k->out_height; row++) {
        const int from = row * k->stride + top;
        if (from < 0 || from >= k->height)
            continue;
        for (int col = 0; col < k->out_width; col++) {
            const int beside = col * k->stride + left;
            if (beside >= 0 && beside < k->width)
                y[row * k->out_width + col] += weight * x[from * k->width + beside];
        }
    }
}
