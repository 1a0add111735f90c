; ModuleID = 'LLVMDialectModule'
source_filename = "LLVMDialectModule"
target datalayout = "e-p6:32:32-i64:64-i128:128-i256:256-v16:16-v32:32-n16:32:64"
target triple = "nvptx64-nvidia-cuda"

; Function Attrs: nounwind
define ptx_kernel void @loop_multiply_fusion(ptr noalias nofree writeonly align 256 captures(none) dereferenceable(33558848) %0) local_unnamed_addr #0 {
  %2 = addrspacecast ptr %0 to ptr addrspace(1)
  tail call void @llvm.nvvm.griddepcontrol.wait()
  %3 = tail call i32 @llvm.nvvm.read.ptx.sreg.ctaid.x(), !range !1
  %4 = tail call i32 @llvm.nvvm.read.ptx.sreg.tid.x(), !range !2
  %5 = shl nuw nsw i32 %3, 7
  %6 = or disjoint i32 %5, %4
  %7 = icmp samesign ult i32 %6, 2097428
  br i1 %7, label %__nv_log1pf.exit, label %306

__nv_log1pf.exit:                                 ; preds = %1
  %8 = shl nuw nsw i32 %4, 2
  %9 = shl nuw nsw i32 %3, 9
  %10 = or disjoint i32 %8, %9
  %urem = urem i32 %10, 8389712
  %11 = or i32 %urem, 1065353216
  %12 = bitcast i32 %11 to float
  %13 = fadd nnan float %12, -1.000000e+00
  %14 = fmul nnan float %13, 2.000000e+00
  %15 = fadd float %14, f0xBF7FFFFF
  %16 = tail call float @llvm.maximum.f32(float %15, float f0xBF7FFFFF)
  %17 = fneg float %16
  %18 = fmul float %16, %17
  %19 = tail call float @llvm.nvvm.fadd.f32(float %18, float 1.000000e+00, /* rnd=rz */ i32 0)
  %20 = bitcast float %19 to i32
  %21 = add i32 %20, -1061158912
  %22 = and i32 %21, -8388608
  %23 = bitcast float %18 to i32
  %24 = sub i32 %23, %22
  %25 = bitcast i32 %24 to float
  %26 = sub i32 1082130432, %22
  %27 = bitcast i32 %26 to float
  %28 = tail call float @llvm.fma.f32(float %27, float 2.500000e-01, float -1.000000e+00)
  %29 = fadd float %28, %25
  %30 = sitofp i32 %22 to float
  %31 = fmul nnan float %30, f0x34000000
  %32 = tail call float @llvm.fma.f32(float %29, float f0xBD39BF78, float f0x3DD80012)
  %33 = tail call float @llvm.fma.f32(float %32, float %29, float f0xBE0778E0)
  %34 = tail call float @llvm.fma.f32(float %33, float %29, float f0x3E146475)
  %35 = tail call float @llvm.fma.f32(float %34, float %29, float f0xBE2A68DD)
  %36 = tail call float @llvm.fma.f32(float %35, float %29, float f0x3E4CAF9E)
  %37 = tail call float @llvm.fma.f32(float %36, float %29, float f0xBE800042)
  %38 = tail call float @llvm.fma.f32(float %37, float %29, float f0x3EAAAAE6)
  %39 = tail call float @llvm.fma.f32(float %38, float %29, float -5.000000e-01)
  %40 = fmul float %29, %39
  %41 = tail call float @llvm.fma.f32(float %40, float %29, float %29)
  %42 = tail call float @llvm.fma.f32(float %31, float f0x3F317218, float %41)
  %43 = icmp ugt i32 %23, 2139095039
  %44 = icmp sgt i32 %23, -1082130432
  %45 = tail call float @llvm.fma.f32(float %18, float +inf, float +inf)
  %r.0.i = select i1 %44, float %45, float %42
  %46 = fcmp oeq float %18, 0.000000e+00
  %r.1.i = select i1 %46, float -0.000000e+00, float %r.0.i
  %spec.select = select i1 %43, float %r.1.i, float %42
  %47 = fneg float %spec.select
  %48 = fcmp ogt float %spec.select, -5.000000e+00
  %49 = select i1 %48, float f0x32F16588, float f0xB951F09B
  %50 = select i1 %48, float f0x34B84B36, float f0x38D3B56B
  %51 = tail call float @llvm.nvvm.sqrt.approx.f(float %47) #1
  %52 = fsub float -2.500000e+00, %spec.select
  %53 = fadd float %51, -3.000000e+00
  %54 = select i1 %48, float %52, float %53
  %55 = fmul float %49, %54
  %56 = fadd float %50, %55
  %57 = select i1 %48, float f0xB66C7357, float f0x3AB0DC72
  %58 = fmul float %54, %56
  %59 = fadd float %57, %58
  %60 = select i1 %48, float f0xB6935AC1, float f0xBB70BDE7
  %61 = fmul float %54, %59
  %62 = fadd float %60, %61
  %63 = select i1 %48, float f0x396532DB, float f0x3BBC127B
  %64 = fmul float %54, %62
  %65 = fadd float %63, %64
  %66 = select i1 %48, float f0xBAA45408, float f0xBBF9C5D7
  %67 = fmul float %54, %65
  %68 = fadd float %66, %67
  %69 = select i1 %48, float f0xBB88E4EF, float f0x3C1AA57E
  %70 = fmul float %54, %68
  %71 = fadd float %69, %70
  %72 = select i1 %48, float f0x3E7C8F63, float f0x3F8036DB
  %73 = fmul float %54, %71
  %74 = fadd float %72, %73
  %75 = select i1 %48, float f0x3FC02E2F, float f0x40354F7E
  %76 = fmul float %54, %74
  %77 = tail call float @llvm.nvvm.fabs.f32(float %16)
  %78 = fadd float %75, %76
  %79 = fcmp oeq float %77, 1.000000e+00
  %.v = select i1 %79, float +inf, float %78
  %80 = fmul float %16, %.v
  %81 = fmul float %80, f0x3C67B46A
  %82 = zext nneg i32 %urem to i64
  %83 = getelementptr inbounds [4 x i8], ptr addrspace(1) %2, i64 %82
  store float %81, ptr addrspace(1) %83, align 16
  %84 = or disjoint i32 %10, 1
  %urem1 = urem i32 %84, 8389712
  %85 = or i32 %urem1, 1065353216
  %86 = bitcast i32 %85 to float
  %87 = fadd nnan float %86, -1.000000e+00
  %88 = fmul nnan float %87, 2.000000e+00
  %89 = fadd float %88, f0xBF7FFFFF
  %90 = tail call float @llvm.maximum.f32(float %89, float f0xBF7FFFFF)
  %91 = fneg float %90
  %92 = fmul float %90, %91
  %93 = tail call float @llvm.nvvm.fadd.f32(float %92, float 1.000000e+00, /* rnd=rz */ i32 0)
  %94 = bitcast float %93 to i32
  %95 = add i32 %94, -1061158912
  %96 = and i32 %95, -8388608
  %97 = bitcast float %92 to i32
  %98 = sub i32 %97, %96
  %99 = bitcast i32 %98 to float
  %100 = sub i32 1082130432, %96
  %101 = bitcast i32 %100 to float
  %102 = tail call float @llvm.fma.f32(float %101, float 2.500000e-01, float -1.000000e+00)
  %103 = fadd float %102, %99
  %104 = sitofp i32 %96 to float
  %105 = fmul nnan float %104, f0x34000000
  %106 = tail call float @llvm.fma.f32(float %103, float f0xBD39BF78, float f0x3DD80012)
  %107 = tail call float @llvm.fma.f32(float %106, float %103, float f0xBE0778E0)
  %108 = tail call float @llvm.fma.f32(float %107, float %103, float f0x3E146475)
  %109 = tail call float @llvm.fma.f32(float %108, float %103, float f0xBE2A68DD)
  %110 = tail call float @llvm.fma.f32(float %109, float %103, float f0x3E4CAF9E)
  %111 = tail call float @llvm.fma.f32(float %110, float %103, float f0xBE800042)
  %112 = tail call float @llvm.fma.f32(float %111, float %103, float f0x3EAAAAE6)
  %113 = tail call float @llvm.fma.f32(float %112, float %103, float -5.000000e-01)
  %114 = fmul float %103, %113
  %115 = tail call float @llvm.fma.f32(float %114, float %103, float %103)
  %116 = tail call float @llvm.fma.f32(float %105, float f0x3F317218, float %115)
  %117 = icmp ugt i32 %97, 2139095039
  %118 = icmp sgt i32 %97, -1082130432
  %119 = tail call float @llvm.fma.f32(float %92, float +inf, float +inf)
  %r.0.i8 = select i1 %118, float %119, float %116
  %120 = fcmp oeq float %92, 0.000000e+00
  %r.1.i9 = select i1 %120, float -0.000000e+00, float %r.0.i8
  %r.2.i7 = select i1 %117, float %r.1.i9, float %116
  %121 = fneg float %r.2.i7
  %122 = fcmp ogt float %r.2.i7, -5.000000e+00
  %123 = select i1 %122, float f0x32F16588, float f0xB951F09B
  %124 = select i1 %122, float f0x34B84B36, float f0x38D3B56B
  %125 = tail call float @llvm.nvvm.sqrt.approx.f(float %121) #1
  %126 = fsub float -2.500000e+00, %r.2.i7
  %127 = fadd float %125, -3.000000e+00
  %128 = select i1 %122, float %126, float %127
  %129 = fmul float %123, %128
  %130 = fadd float %124, %129
  %131 = select i1 %122, float f0xB66C7357, float f0x3AB0DC72
  %132 = fmul float %128, %130
  %133 = fadd float %131, %132
  %134 = select i1 %122, float f0xB6935AC1, float f0xBB70BDE7
  %135 = fmul float %128, %133
  %136 = fadd float %134, %135
  %137 = select i1 %122, float f0x396532DB, float f0x3BBC127B
  %138 = fmul float %128, %136
  %139 = fadd float %137, %138
  %140 = select i1 %122, float f0xBAA45408, float f0xBBF9C5D7
  %141 = fmul float %128, %139
  %142 = fadd float %140, %141
  %143 = select i1 %122, float f0xBB88E4EF, float f0x3C1AA57E
  %144 = fmul float %128, %142
  %145 = fadd float %143, %144
  %146 = select i1 %122, float f0x3E7C8F63, float f0x3F8036DB
  %147 = fmul float %128, %145
  %148 = fadd float %146, %147
  %149 = select i1 %122, float f0x3FC02E2F, float f0x40354F7E
  %150 = fmul float %128, %148
  %151 = tail call float @llvm.nvvm.fabs.f32(float %90)
  %152 = fadd float %149, %150
  %153 = fcmp oeq float %151, 1.000000e+00
  %.v2 = select i1 %153, float +inf, float %152
  %154 = fmul float %90, %.v2
  %155 = fmul float %154, f0x3C67B46A
  %156 = zext nneg i32 %urem1 to i64
  %157 = getelementptr inbounds [4 x i8], ptr addrspace(1) %2, i64 %156
  store float %155, ptr addrspace(1) %157, align 4
  %158 = or disjoint i32 %10, 2
  %urem3 = urem i32 %158, 8389712
  %159 = or i32 %urem3, 1065353216
  %160 = bitcast i32 %159 to float
  %161 = fadd nnan float %160, -1.000000e+00
  %162 = fmul nnan float %161, 2.000000e+00
  %163 = fadd float %162, f0xBF7FFFFF
  %164 = tail call float @llvm.maximum.f32(float %163, float f0xBF7FFFFF)
  %165 = fneg float %164
  %166 = fmul float %164, %165
  %167 = tail call float @llvm.nvvm.fadd.f32(float %166, float 1.000000e+00, /* rnd=rz */ i32 0)
  %168 = bitcast float %167 to i32
  %169 = add i32 %168, -1061158912
  %170 = and i32 %169, -8388608
  %171 = bitcast float %166 to i32
  %172 = sub i32 %171, %170
  %173 = bitcast i32 %172 to float
  %174 = sub i32 1082130432, %170
  %175 = bitcast i32 %174 to float
  %176 = tail call float @llvm.fma.f32(float %175, float 2.500000e-01, float -1.000000e+00)
  %177 = fadd float %176, %173
  %178 = sitofp i32 %170 to float
  %179 = fmul nnan float %178, f0x34000000
  %180 = tail call float @llvm.fma.f32(float %177, float f0xBD39BF78, float f0x3DD80012)
  %181 = tail call float @llvm.fma.f32(float %180, float %177, float f0xBE0778E0)
  %182 = tail call float @llvm.fma.f32(float %181, float %177, float f0x3E146475)
  %183 = tail call float @llvm.fma.f32(float %182, float %177, float f0xBE2A68DD)
  %184 = tail call float @llvm.fma.f32(float %183, float %177, float f0x3E4CAF9E)
  %185 = tail call float @llvm.fma.f32(float %184, float %177, float f0xBE800042)
  %186 = tail call float @llvm.fma.f32(float %185, float %177, float f0x3EAAAAE6)
  %187 = tail call float @llvm.fma.f32(float %186, float %177, float -5.000000e-01)
  %188 = fmul float %177, %187
  %189 = tail call float @llvm.fma.f32(float %188, float %177, float %177)
  %190 = tail call float @llvm.fma.f32(float %179, float f0x3F317218, float %189)
  %191 = icmp ugt i32 %171, 2139095039
  %192 = icmp sgt i32 %171, -1082130432
  %193 = tail call float @llvm.fma.f32(float %166, float +inf, float +inf)
  %r.0.i12 = select i1 %192, float %193, float %190
  %194 = fcmp oeq float %166, 0.000000e+00
  %r.1.i13 = select i1 %194, float -0.000000e+00, float %r.0.i12
  %r.2.i11 = select i1 %191, float %r.1.i13, float %190
  %195 = fneg float %r.2.i11
  %196 = fcmp ogt float %r.2.i11, -5.000000e+00
  %197 = select i1 %196, float f0x32F16588, float f0xB951F09B
  %198 = select i1 %196, float f0x34B84B36, float f0x38D3B56B
  %199 = tail call float @llvm.nvvm.sqrt.approx.f(float %195) #1
  %200 = fsub float -2.500000e+00, %r.2.i11
  %201 = fadd float %199, -3.000000e+00
  %202 = select i1 %196, float %200, float %201
  %203 = fmul float %197, %202
  %204 = fadd float %198, %203
  %205 = select i1 %196, float f0xB66C7357, float f0x3AB0DC72
  %206 = fmul float %202, %204
  %207 = fadd float %205, %206
  %208 = select i1 %196, float f0xB6935AC1, float f0xBB70BDE7
  %209 = fmul float %202, %207
  %210 = fadd float %208, %209
  %211 = select i1 %196, float f0x396532DB, float f0x3BBC127B
  %212 = fmul float %202, %210
  %213 = fadd float %211, %212
  %214 = select i1 %196, float f0xBAA45408, float f0xBBF9C5D7
  %215 = fmul float %202, %213
  %216 = fadd float %214, %215
  %217 = select i1 %196, float f0xBB88E4EF, float f0x3C1AA57E
  %218 = fmul float %202, %216
  %219 = fadd float %217, %218
  %220 = select i1 %196, float f0x3E7C8F63, float f0x3F8036DB
  %221 = fmul float %202, %219
  %222 = fadd float %220, %221
  %223 = select i1 %196, float f0x3FC02E2F, float f0x40354F7E
  %224 = fmul float %202, %222
  %225 = tail call float @llvm.nvvm.fabs.f32(float %164)
  %226 = fadd float %223, %224
  %227 = fcmp oeq float %225, 1.000000e+00
  %.v4 = select i1 %227, float +inf, float %226
  %228 = fmul float %164, %.v4
  %229 = fmul float %228, f0x3C67B46A
  %230 = zext nneg i32 %urem3 to i64
  %231 = getelementptr inbounds [4 x i8], ptr addrspace(1) %2, i64 %230
  store float %229, ptr addrspace(1) %231, align 8
  %232 = or disjoint i32 %10, 3
  %urem5 = urem i32 %232, 8389712
  %233 = or i32 %urem5, 1065353216
  %234 = bitcast i32 %233 to float
  %235 = fadd nnan float %234, -1.000000e+00
  %236 = fmul nnan float %235, 2.000000e+00
  %237 = fadd float %236, f0xBF7FFFFF
  %238 = tail call float @llvm.maximum.f32(float %237, float f0xBF7FFFFF)
  %239 = fneg float %238
  %240 = fmul float %238, %239
  %241 = tail call float @llvm.nvvm.fadd.f32(float %240, float 1.000000e+00, /* rnd=rz */ i32 0)
  %242 = bitcast float %241 to i32
  %243 = add i32 %242, -1061158912
  %244 = and i32 %243, -8388608
  %245 = bitcast float %240 to i32
  %246 = sub i32 %245, %244
  %247 = bitcast i32 %246 to float
  %248 = sub i32 1082130432, %244
  %249 = bitcast i32 %248 to float
  %250 = tail call float @llvm.fma.f32(float %249, float 2.500000e-01, float -1.000000e+00)
  %251 = fadd float %250, %247
  %252 = sitofp i32 %244 to float
  %253 = fmul nnan float %252, f0x34000000
  %254 = tail call float @llvm.fma.f32(float %251, float f0xBD39BF78, float f0x3DD80012)
  %255 = tail call float @llvm.fma.f32(float %254, float %251, float f0xBE0778E0)
  %256 = tail call float @llvm.fma.f32(float %255, float %251, float f0x3E146475)
  %257 = tail call float @llvm.fma.f32(float %256, float %251, float f0xBE2A68DD)
  %258 = tail call float @llvm.fma.f32(float %257, float %251, float f0x3E4CAF9E)
  %259 = tail call float @llvm.fma.f32(float %258, float %251, float f0xBE800042)
  %260 = tail call float @llvm.fma.f32(float %259, float %251, float f0x3EAAAAE6)
  %261 = tail call float @llvm.fma.f32(float %260, float %251, float -5.000000e-01)
  %262 = fmul float %251, %261
  %263 = tail call float @llvm.fma.f32(float %262, float %251, float %251)
  %264 = tail call float @llvm.fma.f32(float %253, float f0x3F317218, float %263)
  %265 = icmp ugt i32 %245, 2139095039
  %266 = icmp sgt i32 %245, -1082130432
  %267 = tail call float @llvm.fma.f32(float %240, float +inf, float +inf)
  %r.0.i16 = select i1 %266, float %267, float %264
  %268 = fcmp oeq float %240, 0.000000e+00
  %r.1.i17 = select i1 %268, float -0.000000e+00, float %r.0.i16
  %r.2.i15 = select i1 %265, float %r.1.i17, float %264
  %269 = fneg float %r.2.i15
  %270 = fcmp ogt float %r.2.i15, -5.000000e+00
  %271 = select i1 %270, float f0x32F16588, float f0xB951F09B
  %272 = select i1 %270, float f0x34B84B36, float f0x38D3B56B
  %273 = tail call float @llvm.nvvm.sqrt.approx.f(float %269) #1
  %274 = fsub float -2.500000e+00, %r.2.i15
  %275 = fadd float %273, -3.000000e+00
  %276 = select i1 %270, float %274, float %275
  %277 = fmul float %271, %276
  %278 = fadd float %272, %277
  %279 = select i1 %270, float f0xB66C7357, float f0x3AB0DC72
  %280 = fmul float %276, %278
  %281 = fadd float %279, %280
  %282 = select i1 %270, float f0xB6935AC1, float f0xBB70BDE7
  %283 = fmul float %276, %281
  %284 = fadd float %282, %283
  %285 = select i1 %270, float f0x396532DB, float f0x3BBC127B
  %286 = fmul float %276, %284
  %287 = fadd float %285, %286
  %288 = select i1 %270, float f0xBAA45408, float f0xBBF9C5D7
  %289 = fmul float %276, %287
  %290 = fadd float %288, %289
  %291 = select i1 %270, float f0xBB88E4EF, float f0x3C1AA57E
  %292 = fmul float %276, %290
  %293 = fadd float %291, %292
  %294 = select i1 %270, float f0x3E7C8F63, float f0x3F8036DB
  %295 = fmul float %276, %293
  %296 = fadd float %294, %295
  %297 = select i1 %270, float f0x3FC02E2F, float f0x40354F7E
  %298 = fmul float %276, %296
  %299 = tail call float @llvm.nvvm.fabs.f32(float %238)
  %300 = fadd float %297, %298
  %301 = fcmp oeq float %299, 1.000000e+00
  %.v6 = select i1 %301, float +inf, float %300
  %302 = fmul float %238, %.v6
  %303 = fmul float %302, f0x3C67B46A
  %304 = zext nneg i32 %urem5 to i64
  %305 = getelementptr inbounds [4 x i8], ptr addrspace(1) %2, i64 %304
  store float %303, ptr addrspace(1) %305, align 4
  br label %306

306:                                              ; preds = %__nv_log1pf.exit, %1
  ret void
}

; Function Attrs: nounwind
declare void @llvm.nvvm.griddepcontrol.wait() #1

; Function Attrs: mustprogress nocallback nofree nosync nounwind speculatable willreturn memory(none)
declare noundef range(i32 0, 2147483647) i32 @llvm.nvvm.read.ptx.sreg.ctaid.x() #2

; Function Attrs: mustprogress nocallback nofree nosync nounwind speculatable willreturn memory(none)
declare noundef range(i32 0, 1024) i32 @llvm.nvvm.read.ptx.sreg.tid.x() #2

; Function Attrs: mustprogress nocallback nocreateundeforpoison nofree nosync nounwind speculatable willreturn memory(none)
declare float @llvm.maximum.f32(float, float) #3

; Function Attrs: mustprogress nocallback nocreateundeforpoison nofree nosync nounwind speculatable willreturn memory(none)
declare float @llvm.nvvm.fabs.f32(float) #3

; Function Attrs: mustprogress nocallback nocreateundeforpoison nofree nosync nounwind willreturn memory(none)
declare float @llvm.nvvm.sqrt.approx.f(float) #4

; Function Attrs: mustprogress nocallback nocreateundeforpoison nofree nosync nounwind speculatable willreturn memory(none)
declare float @llvm.nvvm.fadd.f32(float, float, i32 immarg range(i32 0, 4)) #3

; Function Attrs: nocallback nocreateundeforpoison nofree nosync nounwind speculatable willreturn memory(none)
declare float @llvm.fma.f32(float, float, float) #5

attributes #0 = { nounwind "nvvm.reqntid"="128,1,1" }
attributes #1 = { nounwind }
attributes #2 = { mustprogress nocallback nofree nosync nounwind speculatable willreturn memory(none) }
attributes #3 = { mustprogress nocallback nocreateundeforpoison nofree nosync nounwind speculatable willreturn memory(none) }
attributes #4 = { mustprogress nocallback nocreateundeforpoison nofree nosync nounwind willreturn memory(none) }
attributes #5 = { nocallback nocreateundeforpoison nofree nosync nounwind speculatable willreturn memory(none) }

!llvm.module.flags = !{!0, !30}
!llvm.ident = !{!3}
!nvvmir.version = !{!4}

!0 = !{i32 2, !"Debug Info Version", i32 3}
!1 = !{i32 0, i32 16387}
!2 = !{i32 0, i32 128}
!3 = !{!"clang version 3.8.0 (tags/RELEASE_380/final)"}
!4 = !{i32 2, i32 0}
!30 = !{i32 4, !"nvvm-reflect-ftz", i32 0}
