#!/bin/sh
# The commands behind the tables of docs/results.md: `docs/results.sh NAME [DIR] [flags]`; most are sweeps.
# A sweep goes on where it was stopped, and prints its table as Markdown. Without a name it lists them.
# Results are those of the machine that this runs on: the table's text says which that was.
set -eu

name=${1:-}
out=${2:-runs/results}
[ $# -gt 0 ] && shift
[ $# -gt 0 ] && shift
more="$*"

sweep() {
    # shellcheck disable=SC2086 # flags are words
    exec "${COPPICE:-coppice}" sweep "$@" --out "$out/$name" --markdown $more
}

run() {
    # shellcheck disable=SC2086 # flags are words
    exec "${COPPICE:-coppice}" "$@" $more
}

oracle() {
    # shellcheck disable=SC2086 # flags are words
    exec python3 "$(dirname "$0")/../tests/oracle/fashion_static.py" "$@" $more
}

# One command a line: a test reads them.
case $name in
fashion) sweep fashion-dense fashion-gmp-90 fashion-gmp-98 fashion-rigl-98 fashion-static-98 --seeds 1,2,3 ;;
methods) sweep fashion-set-98 fashion-snfs-98 fashion-granet-98 --seeds 1,2,3 ;;
once) sweep fashion-asp fashion-oneshot-98 fashion-grasp-98 fashion-snip-98 --seeds 1,2,3 ;;
single) sweep fashion-imp-98 fashion-topkast-98 fashion-str --seeds 1 ;;
static) sweep fashion-static-98 --seeds 1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16 ;;
jax) oracle 1 16 --draws coppice ;;
jaxown) oracle 1 16 ;;
sparser) sweep fashion-rigl-98 fashion-set-98 fashion-static-98 -s sparsity.target=0.99 --seeds 1,2,3 ;;
cnn) sweep fashion-cnn-dense fashion-cnn-gmp-90 fashion-cnn-gmp-95 fashion-cnn-granet-95 fashion-cnn-rigl-95 fashion-cnn-static-95 --seeds 0 ;;
filters) sweep fashion-cnn-filters-50 --seeds 0 ;;
resnet) sweep fashion-resnet20-static-95 fashion-resnet20-set-95 fashion-resnet20-rigl-95 fashion-resnet20-gmp-95 fashion-resnet20-granet-95 --vary sparsity.target=0.95,0.98 --seeds 1,2,3 ;;
resnetdense) sweep fashion-resnet20-dense --seeds 1,2,3 ;;
resnet100) sweep fashion-resnet20-rigl-95 fashion-resnet20-set-95 -s sparsity.target=0.98 -s sparsity.schedule.every=100 --seeds 1,2,3 ;;
resnetnm) sweep fashion-resnet20-nm --vary sparsity.pattern=1:8,1:16 --vary sparsity.method=sr-ste,mdgf --seeds 1,2,3 ;;
resnetpskd) sweep fashion-resnet20-pskd 'fashion-resnet20-dense -s run.steps=3000' --seeds 1,2,3 ;;
resnetsdgf) sweep fashion-resnet20-nm -s sparsity.method=sdgf --vary sparsity.pattern=1:8,1:16 --seeds 1,2,3 ;;
resnetnm24) sweep fashion-resnet20-nm -s sparsity.pattern=2:4 --vary sparsity.method=sr-ste,mdgf,sdgf --seeds 1,2,3 ;;
resnetoptim) sweep fashion-resnet20-dense -s run.steps=500 -s run.baseline=false --vary model.activation=relu,leaky_relu,elu,selu --vary 'optim={name="sgd",lr={type="cosine",start=0.03,end=0.0},momentum=0.9},{name="adagrad",lr={type="cosine",start=0.03,end=0.0}},{name="adadelta",lr={type="cosine",start=3.0,end=0.0}},{name="rmsprop",lr={type="cosine",start=0.003,end=0.0}},{name="adam",lr={type="cosine",start=0.003,end=0.0}},{name="amsgrad",lr={type="cosine",start=0.003,end=0.0}},{name="diffgrad",lr={type="cosine",start=0.01,end=0.0}}' --seeds 1,2,3 ;;
vggdense) sweep fashion-resnet20-dense -s 'model={preset="vgg19-bn",width=0.125}' -s data.size=32 -s optim.lr.start=0.05 -s run.steps=500 --seeds 1,2,3 ;;
vgg) sweep fashion-resnet20-static-95 fashion-resnet20-set-95 fashion-resnet20-rigl-95 fashion-resnet20-gmp-95 fashion-resnet20-granet-95 -s 'model={preset="vgg19-bn",width=0.125}' -s data.size=32 -s optim.lr.start=0.05 -s run.steps=500 -s run.baseline=false --vary sparsity.target=0.95,0.98,0.9 --seeds 1 ;;
starts) sweep fashion-static-98 -s run.epochs=5 -s run.baseline=false --vary sparsity.target=0.95,0.98,0.99 --vary sparsity.scale=dense,kept --vary sparsity.fan_in=random,log-normal:1 --seeds 1,2,3 ;;
gptnm) sweep shakespeare-gpt-nm -s model.layers=2 -s model.width=64 -s model.heads=2 -s model.hidden=256 -s data.context=64 -s run.batch=16 -s run.steps=1500 --vary sparsity.pattern=1:8,1:32,1:4,1:16 --vary sparsity.method=sr-ste,mdgf,sdgf --seeds 0 ;;
gptnm32) sweep shakespeare-gpt-nm -s model.layers=2 -s model.width=64 -s model.heads=2 -s model.hidden=256 -s data.context=64 -s run.batch=16 -s run.steps=1500 -s sparsity.pattern=1:32 --vary sparsity.method=sr-ste,mdgf --seeds 1,2 ;;
gptnm8) sweep shakespeare-gpt-nm -s model.layers=2 -s model.width=64 -s model.heads=2 -s model.hidden=256 -s data.context=64 -s run.batch=16 -s run.steps=1500 -s sparsity.pattern=1:8 --vary sparsity.method=sr-ste,mdgf --seeds 1,2 ;;
gptnmlinear) sweep shakespeare-gpt-nm -s model.layers=2 -s model.width=64 -s model.heads=2 -s model.hidden=256 -s data.context=64 -s run.batch=16 -s run.steps=1500 --vary sparsity.pattern=1:4,1:8,1:16,1:32 -s sparsity.method=mdgf -s sparsity.decay=linear --seeds 0 ;;
gptnmall) sweep shakespeare-gpt-nm -s model.layers=2 -s model.width=64 -s model.heads=2 -s model.hidden=256 -s data.context=64 -s run.batch=16 -s run.steps=1500 -s 'sparsity.rule=[{match="head",dense=true}]' --vary sparsity.pattern=1:4,1:8,1:16,1:32 --vary sparsity.method=sr-ste,mdgf,sdgf --seeds 0 ;;
gptnmqk) sweep shakespeare-gpt-nm -s model.layers=2 -s model.width=64 -s model.heads=2 -s model.hidden=256 -s data.context=64 -s run.batch=16 -s run.steps=1500 -s model.projections=qk-v -s 'sparsity.rule=[{match="*.attn_qk",alike=2},{match="*.attn_v",dense=true},{match="*.attn_out",dense=true},{match="head",dense=true}]' --vary sparsity.pattern=1:8 --vary sparsity.method=sr-ste,mdgf --seeds 0 ;;
texts) sweep shakespeare-gpt shakespeare-gpt-nm shakespeare-lstm-gmp --seeds 0 ;;
wordsdense) sweep seq2seq-gmp -s 'sparsity={method="none"}' --seeds 0 ;;
words) sweep seq2seq-gmp transformer-gmp --seeds 0 ;;
vit) sweep fashion-vit --seeds 0 ;;
vitnm) sweep fashion-vit-nm -s run.baseline=false --seeds 0 ;;
vitone) sweep fashion-vit -s run.epochs=1 --seeds 0 ;;
vitonenm) sweep fashion-vit-nm -s run.epochs=1 -s run.baseline=false --seeds 0 ;;
gptsmall) sweep shakespeare-gpt -s model.layers=2 -s model.width=64 -s model.heads=2 -s model.hidden=256 -s data.context=64 -s run.batch=16 -s run.steps=1500 --seeds 0 ;;
mnist) sweep fashion-dual-cnn -s data.name=mnist --seeds 0 ;;
mobilenet) sweep fashion-mobilenet --vary model.width=0.0625,0.125,0.1875,0.25 --seeds 1,2 ;;
mobilehalf) sweep fashion-mobilenet -s run.baseline=false --vary model.width=0.105,0.15,0.25,0.35,0.5 --seeds 1,2 ;;
mobilehalfgmp) sweep fashion-mobilenet-gmp -s run.baseline=false --vary sparsity.target=0.95,0.9,0.75,0.5 --seeds 1,2 ;;
mobilenetgmp) sweep fashion-mobilenet-gmp -s model.width=0.25 --vary sparsity.target=0.5,0.75,0.9 --seeds 1,2 ;;
ofa) sweep fashion-ofa fashion-ofa-plain 'fashion-ofa-plain -s run.steps=5000 -s model.kernels=[3] -s model.expansions=[2] -s model.depths=[1]' --seeds 0 ;;
small) sweep fashion-dense -s 'model.hidden=[16,16]' --seeds 1,2,3 ;;
nm) sweep fashion-nm --vary sparsity.method=sr-ste,mdgf --seeds 1,2,3 ;;
nm32) sweep fashion-nm -s sparsity.pattern=1:32 --vary sparsity.method=sr-ste,mdgf --seeds 1,2,3 ;;
nmfreeze) sweep fashion-nm -s sparsity.method=mdgf -s sparsity.freeze=true --seeds 1,2,3 ;;
nmfreeze32) sweep fashion-nm -s sparsity.method=mdgf -s sparsity.freeze=true -s sparsity.pattern=1:32 --seeds 1,2,3 ;;
nmdense) sweep fashion-nm --vary 'sparsity={method="none"}' --seeds 1 ;;
nmrest) sweep fashion-nm --vary sparsity.method=ste,sdgf --seeds 1,2,3 ;;
optimizers) sweep fashion-dense -s 'optim={name="adam",lr={type="cosine",start=0.001,end=0.0}}' -s run.epochs=8 --vary optim.name=adam,diffgrad --seeds 1,2,3 ;;
residual) sweep fashion-residual-gmp-90 fashion-residual-rigl-98 --vary sparsity.storage=masked,packed --seeds 1 ;;
unfreeze) sweep fashion-unfreeze --seeds 1,2,3 ;;
dual) sweep fashion-dual-cnn digits-dual-cnn --seeds 0 ;;
distill) sweep fashion-dense fashion-dense-pskd 'fashion-dense-pskd -s distill.alpha=0.3' 'fashion-dense-pskd -s distill.alpha=0.2' 'fashion-dense-pskd -s distill.alpha=0.1' --seeds 1,2,3 ;;
distill8) sweep fashion-dense 'fashion-dense-pskd -s distill.alpha=0.1' --seeds 4,5,6,7,8 ;;
distill40) sweep fashion-dense fashion-dense-pskd -s run.epochs=40 --seeds 1 ;;
wider) sweep fashion-rigl-98 --vary 'model.hidden=[1024,1024],[2048,2048]' -s sparsity.target=0.99 --seeds 1,2,3 ;;
widerbf16) sweep fashion-rigl-98 --vary 'model.hidden=[1024,1024],[2048,2048]' -s sparsity.target=0.99 -s run.activations=bf16 --seeds 1,2,3 ;;
bf16) sweep fashion-gmp-90 fashion-rigl-98 -s run.activations=bf16 --seeds 1,2,3 ;;
plasticity) run plasticity fashion-dense -s run.epochs=12 -s 'optim.lr={type="step",start=0.1,factor=0.1,at=["6ep"]}' --at 2,5,8 --rates 0.9,0.98 --for 2 --regrow none,gradient,as-lost --seed 1 --markdown ;;
plasticity2) run plasticity fashion-dense -s run.epochs=12 -s 'optim.lr={type="step",start=0.1,factor=0.1,at=["6ep"]}' --at 2,5,8 --rates 0.9,0.98 --for 2 --regrow none,gradient,as-lost --seed 2 --markdown ;;
plasticity3) run plasticity fashion-dense -s run.epochs=12 -s 'optim.lr={type="step",start=0.1,factor=0.1,at=["6ep"]}' --at 2,5,8 --rates 0.9,0.98 --for 2 --regrow none,gradient,as-lost --seed 3 --markdown ;;
digits) run demo ;;
"") sed -n 's/^\([a-z0-9]*\)) sweep \(.*\) ;;$/\1: coppice sweep \2/p; s/^\([a-z0-9]*\)) run \(.*\) ;;$/\1: coppice \2/p; s/^\([a-z0-9]*\)) oracle \(.*\) ;;$/\1: tests\/oracle\/fashion_static.py \2/p' "$0" ;;
*) echo "$0: nothing named \`$name\`; without a name it lists what there is" >&2; exit 2 ;;
esac
