; ModuleID = 'LLVMDialectModule'
source_filename = "LLVMDialectModule"
target datalayout = "e-p6:32:32-i64:64-i128:128-i256:256-v16:16-v32:32-n16:32:64"
target triple = "nvptx64-nvidia-cuda"

; Function Attrs: nounwind
define ptx_kernel void @loop_clamp_fusion(ptr noalias nofree writeonly align 256 captures(none) dereferenceable(33558848) %0) local_unnamed_addr #0 {
  %2 = addrspacecast ptr %0 to ptr addrspace(1)
  tail call void @llvm.nvvm.griddepcontrol.wait()
  %3 = tail call i32 @llvm.nvvm.read.ptx.sreg.ctaid.x(), !range !1
  %4 = tail call i32 @llvm.nvvm.read.ptx.sreg.tid.x(), !range !2
  %5 = shl nuw nsw i32 %3, 7
  %6 = or disjoint i32 %5, %4
  %7 = icmp samesign ult i32 %6, 2097428
  br i1 %7, label %__nv_log1pf.exit, label %310

__nv_log1pf.exit:                                 ; preds = %1
  %8 = shl nuw nsw i32 %4, 2
  %9 = shl nuw nsw i32 %3, 9
  %10 = or disjoint i32 %8, %9
  %urem = urem i32 %10, 8389712
  %11 = or i32 %urem, 1065353216
  %12 = bitcast i32 %11 to float
  %13 = fadd nnan float %12, -1.000000e+00
  %14 = fmul nnan float %13, f0x3F745A18
  %15 = tail call float @llvm.maximum.f32(float %14, float 0.000000e+00)
  %16 = fneg float %15
  %17 = fmul float %15, %16
  %18 = tail call float @llvm.nvvm.fadd.f32(float %17, float 1.000000e+00, /* rnd=rz */ i32 0)
  %19 = bitcast float %18 to i32
  %20 = add i32 %19, -1061158912
  %21 = and i32 %20, -8388608
  %22 = bitcast float %17 to i32
  %23 = sub i32 %22, %21
  %24 = bitcast i32 %23 to float
  %25 = sub i32 1082130432, %21
  %26 = bitcast i32 %25 to float
  %27 = tail call float @llvm.fma.f32(float %26, float 2.500000e-01, float -1.000000e+00)
  %28 = fadd float %27, %24
  %29 = sitofp i32 %21 to float
  %30 = fmul nnan float %29, f0x34000000
  %31 = tail call float @llvm.fma.f32(float %28, float f0xBD39BF78, float f0x3DD80012)
  %32 = tail call float @llvm.fma.f32(float %31, float %28, float f0xBE0778E0)
  %33 = tail call float @llvm.fma.f32(float %32, float %28, float f0x3E146475)
  %34 = tail call float @llvm.fma.f32(float %33, float %28, float f0xBE2A68DD)
  %35 = tail call float @llvm.fma.f32(float %34, float %28, float f0x3E4CAF9E)
  %36 = tail call float @llvm.fma.f32(float %35, float %28, float f0xBE800042)
  %37 = tail call float @llvm.fma.f32(float %36, float %28, float f0x3EAAAAE6)
  %38 = tail call float @llvm.fma.f32(float %37, float %28, float -5.000000e-01)
  %39 = fmul float %28, %38
  %40 = tail call float @llvm.fma.f32(float %39, float %28, float %28)
  %41 = tail call float @llvm.fma.f32(float %30, float f0x3F317218, float %40)
  %42 = icmp ugt i32 %22, 2139095039
  %43 = icmp sgt i32 %22, -1082130432
  %44 = tail call float @llvm.fma.f32(float %17, float +inf, float +inf)
  %r.0.i = select i1 %43, float %44, float %41
  %45 = fcmp oeq float %17, 0.000000e+00
  %r.1.i = select i1 %45, float -0.000000e+00, float %r.0.i
  %spec.select = select i1 %42, float %r.1.i, float %41
  %46 = fneg float %spec.select
  %47 = fcmp ogt float %spec.select, -5.000000e+00
  %48 = select i1 %47, float f0x32F16588, float f0xB951F09B
  %49 = select i1 %47, float f0x34B84B36, float f0x38D3B56B
  %50 = tail call float @llvm.nvvm.sqrt.approx.f(float %46) #1
  %51 = fsub float -2.500000e+00, %spec.select
  %52 = fadd float %50, -3.000000e+00
  %53 = select i1 %47, float %51, float %52
  %54 = fmul float %48, %53
  %55 = fadd float %49, %54
  %56 = select i1 %47, float f0xB66C7357, float f0x3AB0DC72
  %57 = fmul float %53, %55
  %58 = fadd float %56, %57
  %59 = select i1 %47, float f0xB6935AC1, float f0xBB70BDE7
  %60 = fmul float %53, %58
  %61 = fadd float %59, %60
  %62 = select i1 %47, float f0x396532DB, float f0x3BBC127B
  %63 = fmul float %53, %61
  %64 = fadd float %62, %63
  %65 = select i1 %47, float f0xBAA45408, float f0xBBF9C5D7
  %66 = fmul float %53, %64
  %67 = fadd float %65, %66
  %68 = select i1 %47, float f0xBB88E4EF, float f0x3C1AA57E
  %69 = fmul float %53, %67
  %70 = fadd float %68, %69
  %71 = select i1 %47, float f0x3E7C8F63, float f0x3F8036DB
  %72 = fmul float %53, %70
  %73 = fadd float %71, %72
  %74 = select i1 %47, float f0x3FC02E2F, float f0x40354F7E
  %75 = fmul float %53, %73
  %76 = fadd float %74, %75
  %77 = fcmp oeq float %15, 1.000000e+00
  %78 = fmul float %15, %76
  %79 = fmul float %78, f0x3FB504F3
  %80 = tail call float @llvm.maximum.f32(float %79, float 1.401300e-45)
  %81 = tail call float @llvm.minimum.f32(float %80, float f0x3FFFFFFF)
  %82 = select i1 %77, float f0x3FFFFFFF, float %81
  %83 = zext nneg i32 %urem to i64
  %84 = getelementptr inbounds [4 x i8], ptr addrspace(1) %2, i64 %83
  store float %82, ptr addrspace(1) %84, align 16
  %85 = or disjoint i32 %10, 1
  %urem1 = urem i32 %85, 8389712
  %86 = or i32 %urem1, 1065353216
  %87 = bitcast i32 %86 to float
  %88 = fadd nnan float %87, -1.000000e+00
  %89 = fmul nnan float %88, f0x3F745A18
  %90 = tail call float @llvm.maximum.f32(float %89, float 0.000000e+00)
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
  %r.0.i5 = select i1 %118, float %119, float %116
  %120 = fcmp oeq float %92, 0.000000e+00
  %r.1.i6 = select i1 %120, float -0.000000e+00, float %r.0.i5
  %r.2.i4 = select i1 %117, float %r.1.i6, float %116
  %121 = fneg float %r.2.i4
  %122 = fcmp ogt float %r.2.i4, -5.000000e+00
  %123 = select i1 %122, float f0x32F16588, float f0xB951F09B
  %124 = select i1 %122, float f0x34B84B36, float f0x38D3B56B
  %125 = tail call float @llvm.nvvm.sqrt.approx.f(float %121) #1
  %126 = fsub float -2.500000e+00, %r.2.i4
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
  %151 = fadd float %149, %150
  %152 = fcmp oeq float %90, 1.000000e+00
  %153 = fmul float %90, %151
  %154 = fmul float %153, f0x3FB504F3
  %155 = tail call float @llvm.maximum.f32(float %154, float 1.401300e-45)
  %156 = tail call float @llvm.minimum.f32(float %155, float f0x3FFFFFFF)
  %157 = select i1 %152, float f0x3FFFFFFF, float %156
  %158 = zext nneg i32 %urem1 to i64
  %159 = getelementptr inbounds [4 x i8], ptr addrspace(1) %2, i64 %158
  store float %157, ptr addrspace(1) %159, align 4
  %160 = or disjoint i32 %10, 2
  %urem2 = urem i32 %160, 8389712
  %161 = or i32 %urem2, 1065353216
  %162 = bitcast i32 %161 to float
  %163 = fadd nnan float %162, -1.000000e+00
  %164 = fmul nnan float %163, f0x3F745A18
  %165 = tail call float @llvm.maximum.f32(float %164, float 0.000000e+00)
  %166 = fneg float %165
  %167 = fmul float %165, %166
  %168 = tail call float @llvm.nvvm.fadd.f32(float %167, float 1.000000e+00, /* rnd=rz */ i32 0)
  %169 = bitcast float %168 to i32
  %170 = add i32 %169, -1061158912
  %171 = and i32 %170, -8388608
  %172 = bitcast float %167 to i32
  %173 = sub i32 %172, %171
  %174 = bitcast i32 %173 to float
  %175 = sub i32 1082130432, %171
  %176 = bitcast i32 %175 to float
  %177 = tail call float @llvm.fma.f32(float %176, float 2.500000e-01, float -1.000000e+00)
  %178 = fadd float %177, %174
  %179 = sitofp i32 %171 to float
  %180 = fmul nnan float %179, f0x34000000
  %181 = tail call float @llvm.fma.f32(float %178, float f0xBD39BF78, float f0x3DD80012)
  %182 = tail call float @llvm.fma.f32(float %181, float %178, float f0xBE0778E0)
  %183 = tail call float @llvm.fma.f32(float %182, float %178, float f0x3E146475)
  %184 = tail call float @llvm.fma.f32(float %183, float %178, float f0xBE2A68DD)
  %185 = tail call float @llvm.fma.f32(float %184, float %178, float f0x3E4CAF9E)
  %186 = tail call float @llvm.fma.f32(float %185, float %178, float f0xBE800042)
  %187 = tail call float @llvm.fma.f32(float %186, float %178, float f0x3EAAAAE6)
  %188 = tail call float @llvm.fma.f32(float %187, float %178, float -5.000000e-01)
  %189 = fmul float %178, %188
  %190 = tail call float @llvm.fma.f32(float %189, float %178, float %178)
  %191 = tail call float @llvm.fma.f32(float %180, float f0x3F317218, float %190)
  %192 = icmp ugt i32 %172, 2139095039
  %193 = icmp sgt i32 %172, -1082130432
  %194 = tail call float @llvm.fma.f32(float %167, float +inf, float +inf)
  %r.0.i9 = select i1 %193, float %194, float %191
  %195 = fcmp oeq float %167, 0.000000e+00
  %r.1.i10 = select i1 %195, float -0.000000e+00, float %r.0.i9
  %r.2.i8 = select i1 %192, float %r.1.i10, float %191
  %196 = fneg float %r.2.i8
  %197 = fcmp ogt float %r.2.i8, -5.000000e+00
  %198 = select i1 %197, float f0x32F16588, float f0xB951F09B
  %199 = select i1 %197, float f0x34B84B36, float f0x38D3B56B
  %200 = tail call float @llvm.nvvm.sqrt.approx.f(float %196) #1
  %201 = fsub float -2.500000e+00, %r.2.i8
  %202 = fadd float %200, -3.000000e+00
  %203 = select i1 %197, float %201, float %202
  %204 = fmul float %198, %203
  %205 = fadd float %199, %204
  %206 = select i1 %197, float f0xB66C7357, float f0x3AB0DC72
  %207 = fmul float %203, %205
  %208 = fadd float %206, %207
  %209 = select i1 %197, float f0xB6935AC1, float f0xBB70BDE7
  %210 = fmul float %203, %208
  %211 = fadd float %209, %210
  %212 = select i1 %197, float f0x396532DB, float f0x3BBC127B
  %213 = fmul float %203, %211
  %214 = fadd float %212, %213
  %215 = select i1 %197, float f0xBAA45408, float f0xBBF9C5D7
  %216 = fmul float %203, %214
  %217 = fadd float %215, %216
  %218 = select i1 %197, float f0xBB88E4EF, float f0x3C1AA57E
  %219 = fmul float %203, %217
  %220 = fadd float %218, %219
  %221 = select i1 %197, float f0x3E7C8F63, float f0x3F8036DB
  %222 = fmul float %203, %220
  %223 = fadd float %221, %222
  %224 = select i1 %197, float f0x3FC02E2F, float f0x40354F7E
  %225 = fmul float %203, %223
  %226 = fadd float %224, %225
  %227 = fcmp oeq float %165, 1.000000e+00
  %228 = fmul float %165, %226
  %229 = fmul float %228, f0x3FB504F3
  %230 = tail call float @llvm.maximum.f32(float %229, float 1.401300e-45)
  %231 = tail call float @llvm.minimum.f32(float %230, float f0x3FFFFFFF)
  %232 = select i1 %227, float f0x3FFFFFFF, float %231
  %233 = zext nneg i32 %urem2 to i64
  %234 = getelementptr inbounds [4 x i8], ptr addrspace(1) %2, i64 %233
  store float %232, ptr addrspace(1) %234, align 8
  %235 = or disjoint i32 %10, 3
  %urem3 = urem i32 %235, 8389712
  %236 = or i32 %urem3, 1065353216
  %237 = bitcast i32 %236 to float
  %238 = fadd nnan float %237, -1.000000e+00
  %239 = fmul nnan float %238, f0x3F745A18
  %240 = tail call float @llvm.maximum.f32(float %239, float 0.000000e+00)
  %241 = fneg float %240
  %242 = fmul float %240, %241
  %243 = tail call float @llvm.nvvm.fadd.f32(float %242, float 1.000000e+00, /* rnd=rz */ i32 0)
  %244 = bitcast float %243 to i32
  %245 = add i32 %244, -1061158912
  %246 = and i32 %245, -8388608
  %247 = bitcast float %242 to i32
  %248 = sub i32 %247, %246
  %249 = bitcast i32 %248 to float
  %250 = sub i32 1082130432, %246
  %251 = bitcast i32 %250 to float
  %252 = tail call float @llvm.fma.f32(float %251, float 2.500000e-01, float -1.000000e+00)
  %253 = fadd float %252, %249
  %254 = sitofp i32 %246 to float
  %255 = fmul nnan float %254, f0x34000000
  %256 = tail call float @llvm.fma.f32(float %253, float f0xBD39BF78, float f0x3DD80012)
  %257 = tail call float @llvm.fma.f32(float %256, float %253, float f0xBE0778E0)
  %258 = tail call float @llvm.fma.f32(float %257, float %253, float f0x3E146475)
  %259 = tail call float @llvm.fma.f32(float %258, float %253, float f0xBE2A68DD)
  %260 = tail call float @llvm.fma.f32(float %259, float %253, float f0x3E4CAF9E)
  %261 = tail call float @llvm.fma.f32(float %260, float %253, float f0xBE800042)
  %262 = tail call float @llvm.fma.f32(float %261, float %253, float f0x3EAAAAE6)
  %263 = tail call float @llvm.fma.f32(float %262, float %253, float -5.000000e-01)
  %264 = fmul float %253, %263
  %265 = tail call float @llvm.fma.f32(float %264, float %253, float %253)
  %266 = tail call float @llvm.fma.f32(float %255, float f0x3F317218, float %265)
  %267 = icmp ugt i32 %247, 2139095039
  %268 = icmp sgt i32 %247, -1082130432
  %269 = tail call float @llvm.fma.f32(float %242, float +inf, float +inf)
  %r.0.i13 = select i1 %268, float %269, float %266
  %270 = fcmp oeq float %242, 0.000000e+00
  %r.1.i14 = select i1 %270, float -0.000000e+00, float %r.0.i13
  %r.2.i12 = select i1 %267, float %r.1.i14, float %266
  %271 = fneg float %r.2.i12
  %272 = fcmp ogt float %r.2.i12, -5.000000e+00
  %273 = select i1 %272, float f0x32F16588, float f0xB951F09B
  %274 = select i1 %272, float f0x34B84B36, float f0x38D3B56B
  %275 = tail call float @llvm.nvvm.sqrt.approx.f(float %271) #1
  %276 = fsub float -2.500000e+00, %r.2.i12
  %277 = fadd float %275, -3.000000e+00
  %278 = select i1 %272, float %276, float %277
  %279 = fmul float %273, %278
  %280 = fadd float %274, %279
  %281 = select i1 %272, float f0xB66C7357, float f0x3AB0DC72
  %282 = fmul float %278, %280
  %283 = fadd float %281, %282
  %284 = select i1 %272, float f0xB6935AC1, float f0xBB70BDE7
  %285 = fmul float %278, %283
  %286 = fadd float %284, %285
  %287 = select i1 %272, float f0x396532DB, float f0x3BBC127B
  %288 = fmul float %278, %286
  %289 = fadd float %287, %288
  %290 = select i1 %272, float f0xBAA45408, float f0xBBF9C5D7
  %291 = fmul float %278, %289
  %292 = fadd float %290, %291
  %293 = select i1 %272, float f0xBB88E4EF, float f0x3C1AA57E
  %294 = fmul float %278, %292
  %295 = fadd float %293, %294
  %296 = select i1 %272, float f0x3E7C8F63, float f0x3F8036DB
  %297 = fmul float %278, %295
  %298 = fadd float %296, %297
  %299 = select i1 %272, float f0x3FC02E2F, float f0x40354F7E
  %300 = fmul float %278, %298
  %301 = fadd float %299, %300
  %302 = fcmp oeq float %240, 1.000000e+00
  %303 = fmul float %240, %301
  %304 = fmul float %303, f0x3FB504F3
  %305 = tail call float @llvm.maximum.f32(float %304, float 1.401300e-45)
  %306 = tail call float @llvm.minimum.f32(float %305, float f0x3FFFFFFF)
  %307 = select i1 %302, float f0x3FFFFFFF, float %306
  %308 = zext nneg i32 %urem3 to i64
  %309 = getelementptr inbounds [4 x i8], ptr addrspace(1) %2, i64 %308
  store float %307, ptr addrspace(1) %309, align 4
  br label %310

310:                                              ; preds = %__nv_log1pf.exit, %1
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
declare float @llvm.minimum.f32(float, float) #3

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
