// The largest number of each window; nothing outside of the image counts.
static void apply_max_pool(const struct window *k, const float *x, float *y)
{
    for (int channel = 0; channel < k->channels; channel++, x += k->height * k->width)
        for (int row = 0; row < k->out_height; row++)
            for (int col = 0; col < k->out_width; col++) {
                float most = -HUGE_VALF;
                for (int tap = 0; tap < k->kernel * k->kernel; tap++) {
                    const int from = row * k->stride + tap / k->kernel - k->padding;
                    const int beside = col * k->stride + tap % k->kernel - k->padding;
                    if (from >= 0 && from < k->height && beside >= 0 && beside < k->width)
                        most = fmaxf(most, x[from * k->width + beside]);
                }
                *y++ = most;
            }
}
